INSERT INTO {audit_events} (
    position, event_id, recorded_at, aggregate_type, aggregate_id, sequence, event_type, event_version,
    actor_id, actor_role, subject_id, correlation_id, causation_id)
{rows}
