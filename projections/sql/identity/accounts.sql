SELECT id, username, email, registered_at, suspended, purge_after, erasing, two_factor, moderator, auditor, admin
  FROM {accounts}
 WHERE registered_at > $1 OR (registered_at = $1 AND id > $2)
 ORDER BY registered_at, id
 LIMIT $3
