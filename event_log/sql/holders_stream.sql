SELECT e.aggregate_type, e.aggregate_id, e.sequence, e.event_type, e.event_version,
       CAST(e.payload AS TEXT) AS payload, CAST(e.metadata AS TEXT) AS metadata
  FROM {log.claims} c
  JOIN {log.events} e ON e.aggregate_type = c.aggregate_type AND e.aggregate_id = c.aggregate_id
 WHERE c.scope = $1 AND c.value = $2 AND (c.until IS NULL OR c.until > $3) AND c.aggregate_type = $4
 ORDER BY e.sequence
