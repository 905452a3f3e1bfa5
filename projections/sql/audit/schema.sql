-- One row an event, with what stands in the clear beside its payload.
CREATE TABLE {audit_events} (
    position       BIGINT      NOT NULL PRIMARY KEY,
    event_id       UUID        NOT NULL,
    recorded_at    TIMESTAMPTZ NOT NULL,
    aggregate_type TEXT        {bytewise} NOT NULL,
    aggregate_id   TEXT        {bytewise} NOT NULL,
    sequence       BIGINT      NOT NULL,
    event_type     TEXT        {bytewise} NOT NULL,
    event_version  TEXT        NOT NULL,
    actor_id       TEXT        {bytewise}, -- NULL where the subject did it
    actor_role     TEXT        NOT NULL,
    subject_id     UUID,
    correlation_id UUID        NOT NULL,
    causation_id   UUID
);
