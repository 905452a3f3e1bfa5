SELECT position, event_id, recorded_at, aggregate_type, aggregate_id, sequence, event_type, event_version,
       actor_id, actor_role, subject_id, correlation_id, causation_id
  FROM {audit_events}
 WHERE position > $8 AND position < $9
   AND (aggregate_type = $1 OR $1 IS NULL)
   AND (aggregate_id = $2 OR $2 IS NULL)
   AND (event_type = $3 OR $3 IS NULL)
   AND (actor_id = $4 OR (actor_id IS NULL AND subject_id = $5) OR $4 IS NULL)
   AND (subject_id = $6 OR $6 IS NULL)
   AND (correlation_id = $7 OR $7 IS NULL)
 ORDER BY position DESC
 LIMIT $10
