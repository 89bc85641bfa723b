-- The id of the key that seals, of the process that came last: who does not
-- have that key stays out. Subscriptions tell it too, once there are any.
CREATE TABLE root_key (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    id bytea NOT NULL
);
