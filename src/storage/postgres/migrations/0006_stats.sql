-- Counts of attempts: of a subscription and an event type, by the five minutes
-- in which they began, in slots of outcome and duration. `day` is that of the
-- events, whose partition goes with them. Each writer of a process counts in rows
-- of its own, so that none waits for another; a count is the sum of them.
CREATE TABLE stats (
    day integer NOT NULL,
    tenant text NOT NULL,
    subscription uuid NOT NULL,
    start bigint NOT NULL,
    event_type text NOT NULL,
    slot smallint NOT NULL,
    writer smallint NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (day, tenant, subscription, start, event_type, slot, writer)
) PARTITION BY RANGE (day);

-- The days that there are, whose attempts so far are not counted.
DO $$
DECLARE
    found text;
    number integer;
BEGIN
    FOR found IN
        SELECT substring(c.relname FROM 7) FROM pg_class c
        JOIN pg_inherits i ON i.inhrelid = c.oid
        WHERE i.inhparent = 'event'::regclass
    LOOP
        number := replace(found, '_', '-')::date - '1970-01-01'::date;
        EXECUTE format(
            'CREATE TABLE stats_%s PARTITION OF stats FOR VALUES FROM (%s) TO (%s)
             WITH (fillfactor = 60)',
            found, number, number + 1);
    END LOOP;
END $$;
