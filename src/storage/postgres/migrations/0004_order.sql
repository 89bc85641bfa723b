-- The ordering key of the event, for deliveries that are ordered by it.
ALTER TABLE delivery ADD COLUMN ordering_key bytea;
CREATE INDEX delivery_in_order ON delivery (subscription, ordering_key, id)
    WHERE due IS NOT NULL AND ordering_key IS NOT NULL;
