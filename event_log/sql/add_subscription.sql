INSERT INTO {log.policy_checkpoints} (policy, position, epoch, attempts)
VALUES ($1, $2, 0, 0)
ON CONFLICT (policy) DO NOTHING
