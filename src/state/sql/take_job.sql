UPDATE {state.jobs}
   SET owner = $2, lease_until = {now_ms} + $3, started_at = $4, error = NULL
 WHERE name = $1 AND (owner IS NULL OR lease_until < {now_ms})
   AND (started_at IS NULL OR started_at <= $5)
