-- One row an account, from registration to erasure. Names are sealed; the rest is for filters.
CREATE TABLE {accounts} (
    id            UUID        NOT NULL PRIMARY KEY,
    username      BYTEA,
    email         BYTEA,
    registered_at TIMESTAMPTZ NOT NULL,
    suspended     BOOLEAN     NOT NULL,
    -- while deletion is pending
    purge_after   TIMESTAMPTZ,
    erasing       BOOLEAN     NOT NULL,
    two_factor    BOOLEAN     NOT NULL,
    moderator     BOOLEAN     NOT NULL,
    auditor       BOOLEAN     NOT NULL,
    admin         BOOLEAN     NOT NULL,
    -- sessions begun below this sequence of the account are over
    session_floor BIGINT      NOT NULL
);


-- One row a signed-in device; what it says about itself is sealed.
CREATE TABLE {sessions} (
    id               UUID        NOT NULL PRIMARY KEY,
    account_id       UUID        NOT NULL,
    account_sequence BIGINT      NOT NULL,
    started_at       TIMESTAMPTZ NOT NULL,
    refreshed_at     TIMESTAMPTZ NOT NULL,
    expires_at       TIMESTAMPTZ NOT NULL,
    label            BYTEA,
    ip               BYTEA,
    user_agent       BYTEA
);

CREATE INDEX {#sessions}_by_account ON {sessions} (account_id, started_at, id);
