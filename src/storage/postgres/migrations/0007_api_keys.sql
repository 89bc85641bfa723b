-- API keys as storage/row writes them. `tenant` is empty where the holder acts
-- for all of them.
CREATE TABLE api_key (
    id uuid PRIMARY KEY,
    tenant text NOT NULL,
    content bytea NOT NULL
);
CREATE INDEX api_key_of_tenant ON api_key (tenant, id);
