UPDATE {log.policy_checkpoints} SET owner = NULL, lease_until = NULL WHERE policy = $1 AND owner = $2
