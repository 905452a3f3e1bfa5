CREATE UNIQUE INDEX IF NOT EXISTS {#audit_events}_by_id ON {audit_events} (event_id);
CREATE INDEX IF NOT EXISTS {#audit_events}_by_type ON {audit_events} (event_type, position);
CREATE INDEX IF NOT EXISTS {#audit_events}_by_actor ON {audit_events} (actor_id, position) WHERE actor_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS {#audit_events}_by_subject ON {audit_events} (subject_id, position);
CREATE INDEX IF NOT EXISTS {#audit_events}_by_correlation ON {audit_events} (correlation_id, position);
