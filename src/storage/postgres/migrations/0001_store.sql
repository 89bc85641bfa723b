-- Times are microseconds since 1970-01-01T00:00:00Z. Ids are UUIDv7, so they
-- sort by time, and a delivery's is its event's with the last 16 bits set to
-- its number within the event. `content` is a row as storage/row writes it.

-- Raised by every change of any of a tenant's subscriptions.
CREATE TABLE tenant (
    id text PRIMARY KEY,
    version bigint NOT NULL
);

-- A deleted subscription stays without content, so that every process learns
-- of it. `changed` is the transaction that wrote the row last.
CREATE TABLE subscription (
    id uuid PRIMARY KEY,
    tenant text NOT NULL,
    version bigint NOT NULL,
    content bytea,
    changed xid8 NOT NULL
);
CREATE INDEX subscription_of_tenant ON subscription (tenant, id) WHERE content IS NOT NULL;
CREATE INDEX subscription_changed ON subscription (changed);

-- Subscriptions as the requests with these ids created them.
CREATE TABLE request (
    tenant text NOT NULL,
    name bytea NOT NULL,
    create_time bigint NOT NULL,
    content bytea NOT NULL,
    PRIMARY KEY (tenant, name)
);

-- The day of an event holds everything of it, so retention drops partitions.
CREATE TABLE event (
    tenant text NOT NULL,
    id uuid NOT NULL,
    content bytea NOT NULL,
    -- The payload, where it is not within the content.
    body bytea,
    PRIMARY KEY (tenant, id)
) PARTITION BY RANGE (id);
ALTER TABLE event ALTER COLUMN content SET STORAGE EXTERNAL;
ALTER TABLE event ALTER COLUMN body SET STORAGE EXTERNAL;

CREATE TABLE delivery (
    id uuid PRIMARY KEY,
    tenant text NOT NULL,
    subscription uuid NOT NULL,
    event_type text NOT NULL,
    state smallint NOT NULL,
    trigger smallint NOT NULL,
    attempt_count integer NOT NULL,
    chain_start integer NOT NULL,
    chain_time bigint NOT NULL,
    due bigint,
    -- Of the last attempt: both null before the first.
    error_kind smallint,
    response_status integer,
    revision integer NOT NULL,
    create_time bigint NOT NULL,
    update_time bigint NOT NULL
) PARTITION BY RANGE (id);
CREATE INDEX delivery_of_subscription ON delivery (subscription, id);

CREATE TABLE attempt (
    -- See `log`.
    position bigint NOT NULL,
    delivery uuid NOT NULL,
    id uuid NOT NULL,
    recorded bigint NOT NULL,
    next_attempt_time bigint,
    content bytea NOT NULL
) PARTITION BY RANGE (delivery);
CREATE INDEX attempt_in_log ON attempt (position);
CREATE INDEX attempt_of_delivery ON attempt (delivery, position);
ALTER TABLE attempt ALTER COLUMN content SET STORAGE EXTERNAL;

CREATE TABLE idempotency (
    tenant text NOT NULL,
    name bytea NOT NULL,
    event uuid NOT NULL,
    content bytea NOT NULL,
    PRIMARY KEY (tenant, name, event)
) PARTITION BY RANGE (event);

-- The due index. The shard of a subscription is the last byte of its id.
CREATE TABLE ready (
    subscription uuid NOT NULL,
    due bigint NOT NULL,
    delivery uuid NOT NULL,
    PRIMARY KEY (subscription, due, delivery)
) WITH (
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_cost_delay = 0
);

-- The position of an attempt is base + 1024 * transaction + its number within
-- that. So what stands below the oldest running transaction is complete, and
-- who reads no further never skips a slow commit. The base keeps positions
-- growing when a database is restored into a younger cluster.
CREATE TABLE log (
    base bigint NOT NULL,
    -- What retention removed: events accepted before this time, and the
    -- position of the last of their attempts.
    removed_before bigint,
    removed_position bigint NOT NULL
);
INSERT INTO log VALUES (0, NULL, 0);

-- A copy into this store that is not finished, as storage/row writes it. Nobody
-- serves a part of a store.
CREATE TABLE copying (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    content bytea NOT NULL
);

-- The processes that deliver. One whose time is up is removed by the others,
-- and what it records afterwards is refused.
CREATE TABLE member (
    id uuid PRIMARY KEY,
    until timestamptz NOT NULL,
    -- It takes no more shards, and gives those it has.
    retiring boolean NOT NULL DEFAULT false
);

CREATE TABLE shard_lease (
    shard integer PRIMARY KEY,
    owner uuid
) WITH (fillfactor = 50);
INSERT INTO shard_lease SELECT shard, NULL FROM generate_series(0, 255) AS shard;
