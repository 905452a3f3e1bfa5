SELECT position, event_id, recorded_at, aggregate_type, aggregate_id, sequence, event_type, event_version,
       actor_id, actor_role, subject_id, correlation_id, causation_id
  FROM {audit_events}
 WHERE position > $7 AND position < $8
   AND (aggregate_type = $1 OR $1 IS NULL)
   AND (aggregate_id = $2 OR $2 IS NULL)
   AND (event_type = $3 OR $3 IS NULL)
   AND actor_id = $4
   AND (subject_id = $5 OR $5 IS NULL)
   AND (correlation_id = $6 OR $6 IS NULL)
 ORDER BY position DESC
 LIMIT $9
