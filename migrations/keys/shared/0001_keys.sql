-- Data keys, wrapped: a subject's by the master key, a stream's by its subject's.
-- A destroyed key stays as a tombstone without its wrapped bytes.
CREATE TABLE data_keys (
    key_id         UUID        NOT NULL PRIMARY KEY,
    scope          TEXT        NOT NULL CHECK (scope IN ('subject', 'stream')),
    subject_id     UUID        NOT NULL,
    aggregate_type TEXT,
    aggregate_id   TEXT,
    master_version BIGINT      NOT NULL,
    wrapped        BYTEA,
    created_at     TIMESTAMPTZ NOT NULL,
    destroyed_at   TIMESTAMPTZ
);

CREATE UNIQUE INDEX data_keys_subject ON data_keys (subject_id) WHERE scope = 'subject';
CREATE UNIQUE INDEX data_keys_stream ON data_keys (aggregate_type, aggregate_id) WHERE scope = 'stream';

-- Keys of the installation, shared by all nodes, wrapped by the master key.
CREATE TABLE instance_keys (
    purpose        TEXT        NOT NULL,
    version        BIGINT      NOT NULL,
    master_version BIGINT      NOT NULL,
    wrapped        BYTEA       NOT NULL,
    created_at     TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (purpose, version)
);
