-- When the payload of an event was erased, as its content says.
ALTER TABLE event ADD COLUMN erase_time bigint;
