SELECT position, amount, reason, cause, awarded_at
  FROM {xp_awards}
 WHERE account_id = $1 AND position < $2
 ORDER BY position DESC
 LIMIT $3
