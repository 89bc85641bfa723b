-- Replays as storage/row writes them.
CREATE TABLE replay (
    id uuid PRIMARY KEY,
    tenant text NOT NULL,
    is_running boolean NOT NULL,
    content bytea NOT NULL
);
CREATE INDEX replay_of_tenant ON replay (tenant, id);
CREATE INDEX replay_running ON replay (id) WHERE is_running;
