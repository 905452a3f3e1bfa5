UPDATE {log.policy_checkpoints} SET attempts = attempts + 1, error = $4
 WHERE policy = $1 AND owner = $2 AND epoch = $3
