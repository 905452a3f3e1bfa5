UPDATE {log.policy_checkpoints}
   SET owner = $2, lease_until = {now_ms} + $3,
       epoch = CASE WHEN owner = $2 THEN epoch ELSE epoch + 1 END
 WHERE policy = $1 AND (owner IS NULL OR owner = $2 OR lease_until < {now_ms})
RETURNING position, epoch
