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

CREATE UNIQUE INDEX {#audit_events}_by_id ON {audit_events} (event_id);
CREATE INDEX {#audit_events}_by_time ON {audit_events} (recorded_at, position);
CREATE INDEX {#audit_events}_by_stream ON {audit_events} (aggregate_type, aggregate_id, position);
CREATE INDEX {#audit_events}_by_type ON {audit_events} (event_type, position);
CREATE INDEX {#audit_events}_by_actor ON {audit_events} (actor_id, position);
CREATE INDEX {#audit_events}_by_subject ON {audit_events} (subject_id, position);
CREATE INDEX {#audit_events}_by_correlation ON {audit_events} (correlation_id, position);
