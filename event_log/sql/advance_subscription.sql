UPDATE {log.policy_checkpoints}
   SET position = $4, lease_until = {now_ms} + $5, attempts = 0, error = NULL
 WHERE policy = $1 AND owner = $2 AND epoch = $3 AND position <= $4
