-- What is neither history nor derivable. Keys are HMACs: nothing here names a person in the clear.

CREATE TABLE login_ladder (
    key         BYTEA       NOT NULL PRIMARY KEY,
    failures    BIGINT      NOT NULL,
    failed_at   TIMESTAMPTZ NOT NULL,
    retry_at    TIMESTAMPTZ NOT NULL
);

CREATE TABLE used_totp_steps (
    account_id UUID   NOT NULL,
    step       BIGINT NOT NULL,
    used_at    TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (account_id, step)
);

-- Second-factor challenges and restore tokens: only the hash of the token.
CREATE TABLE challenges (
    token_hash BYTEA       NOT NULL PRIMARY KEY,
    purpose    TEXT        NOT NULL,
    account_id UUID        NOT NULL,
    -- the account's sequence when the token was given
    sequence   BIGINT      NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    used_at    TIMESTAMPTZ
);

CREATE INDEX challenges_expiry ON challenges (expires_at);

-- One row a background job; the lease (milliseconds of the database clock) keeps it to one node at a time.
CREATE TABLE jobs (
    name        TEXT   NOT NULL PRIMARY KEY,
    owner       UUID,
    lease_until BIGINT,
    started_at  TIMESTAMPTZ,
    finished_at TIMESTAMPTZ,
    error       TEXT
);
