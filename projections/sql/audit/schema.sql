-- One row an event, with what stands in the clear beside its payload.
CREATE TABLE {audit_events} (
    position       BIGINT      NOT NULL PRIMARY KEY,
    event_id       UUID        NOT NULL,
    recorded_at    TIMESTAMPTZ NOT NULL,
    aggregate_type TEXT        NOT NULL,
    aggregate_id   TEXT        NOT NULL,
    sequence       BIGINT      NOT NULL,
    event_type     TEXT        NOT NULL,
    event_version  TEXT        NOT NULL,
    actor_id       TEXT        NOT NULL,
    actor_role     TEXT        NOT NULL,
    subject_id     UUID,
    correlation_id UUID        NOT NULL,
    causation_id   UUID
);
