SELECT position FROM {audit_events} WHERE recorded_at >= $1 ORDER BY recorded_at, position LIMIT 1
