-- Values that at most one stream may hold; the value is an HMAC, for scope 'erased' the subject id.
CREATE TABLE claims (
    scope          TEXT  NOT NULL,
    value          BYTEA NOT NULL,
    aggregate_type TEXT  NOT NULL,
    aggregate_id   TEXT  NOT NULL,
    until          TIMESTAMPTZ,
    PRIMARY KEY (scope, value)
);

-- Commands that were committed, with their outcome: never a body or a secret.
CREATE TABLE command_ids (
    key        BYTEA  NOT NULL PRIMARY KEY,
    request    BYTEA  NOT NULL,
    outcome    TEXT   NOT NULL,
    sequence   BIGINT NOT NULL,
    position   BIGINT NOT NULL,
    expires_at TIMESTAMPTZ
);

CREATE INDEX command_ids_expiry ON command_ids (expires_at) WHERE expires_at IS NOT NULL;

-- How far each policy has come, and who runs it; lease_until is in milliseconds of the database clock.
CREATE TABLE policy_checkpoints (
    policy      TEXT   NOT NULL PRIMARY KEY,
    position    BIGINT NOT NULL,
    epoch       BIGINT NOT NULL,
    owner       UUID,
    lease_until BIGINT,
    attempts    BIGINT NOT NULL,
    error       TEXT
);
