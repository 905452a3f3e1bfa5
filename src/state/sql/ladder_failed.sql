INSERT INTO {state.login_ladder} (key, failures, failed_at, retry_at) VALUES ($1, 1, $2, $2)
ON CONFLICT (key) DO UPDATE
   SET failures = CASE WHEN login_ladder.failed_at > $3 THEN login_ladder.failures + 1 ELSE 1 END,
       failed_at = excluded.failed_at,
       retry_at = excluded.retry_at
RETURNING failures
