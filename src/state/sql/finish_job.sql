UPDATE {state.jobs} SET owner = NULL, lease_until = NULL, finished_at = $4, error = $3
 WHERE name = $1 AND owner = $2
