SELECT policy, position, attempts, error, owner FROM {log.policy_checkpoints} ORDER BY policy
