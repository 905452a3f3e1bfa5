-- One row a physical copy of a read model, with its checkpoint. Of each projection and version at most
-- one generation is live. lease_until is in milliseconds of the database clock.
CREATE TABLE generations (
    projection     TEXT        NOT NULL,
    generation     BIGINT      NOT NULL,
    version        BIGINT      NOT NULL,
    state          TEXT        NOT NULL CHECK (state IN ('building', 'live', 'old')),
    tables         TEXT        NOT NULL,
    log_id         UUID        NOT NULL,
    position       BIGINT      NOT NULL,
    event_id       UUID,
    target         BIGINT      NOT NULL,
    owner          UUID,
    epoch          BIGINT      NOT NULL,
    lease_until    BIGINT      NOT NULL,
    stopped        BOOLEAN     NOT NULL,
    attempts       BIGINT      NOT NULL,
    error          TEXT,
    error_position BIGINT,
    started_at     TIMESTAMPTZ NOT NULL,
    updated_at     TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (projection, generation)
);

CREATE UNIQUE INDEX generations_live ON generations (projection, version) WHERE state = 'live';
