SELECT aggregate_id FROM {log.claims} WHERE scope = $1 AND value = $2 AND (until IS NULL OR until > $3)
