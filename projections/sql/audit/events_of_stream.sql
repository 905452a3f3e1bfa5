SELECT position, event_id, recorded_at, aggregate_type, aggregate_id, sequence, event_type, event_version,
       actor_id, actor_role, subject_id, correlation_id, causation_id
  FROM {audit_events}
 WHERE position > $7 AND position < $8
   AND aggregate_type = $1
   AND aggregate_id = $2
   AND ($3 IS NULL OR event_type = $3)
   AND ($4 IS NULL OR actor_id = $4)
   AND ($5 IS NULL OR subject_id = $5)
   AND ($6 IS NULL OR correlation_id = $6)
 ORDER BY position DESC
 LIMIT $9
