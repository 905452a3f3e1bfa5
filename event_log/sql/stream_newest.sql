SELECT aggregate_type, aggregate_id, sequence, event_type, event_version, CAST(payload AS TEXT) AS payload,
       CAST(metadata AS TEXT) AS metadata, position, event_id, recorded_at, correlation_id, causation_id,
       actor_id, subject_id, content_hash
  FROM {log.events}
 WHERE aggregate_type = $1 AND aggregate_id = $2
   AND (event_type = $3 OR $3 IS NULL)
   AND (actor_id = $4 OR $4 IS NULL)
   AND (subject_id = $5 OR $5 IS NULL)
   AND (correlation_id = $6 OR $6 IS NULL)
   AND position > $7 AND position < $8
 ORDER BY sequence DESC
 LIMIT $9
