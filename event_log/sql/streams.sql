SELECT aggregate_type, aggregate_id, sequence, event_type, event_version, CAST(payload AS TEXT) AS payload,
       CAST(metadata AS TEXT) AS metadata, position, event_id, recorded_at, correlation_id, causation_id,
       actor_id, subject_id, content_hash
  FROM {log.events}
 WHERE aggregate_type = $1
 ORDER BY aggregate_id, sequence
