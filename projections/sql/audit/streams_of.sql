SELECT DISTINCT aggregate_type, aggregate_id
  FROM {audit_events}
 WHERE subject_id = $1
 ORDER BY aggregate_type, aggregate_id
