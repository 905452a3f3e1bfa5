SELECT id, username, email, registered_at, suspended, purge_after, erasing, two_factor, moderator, auditor, admin
  FROM {accounts}
 WHERE id = $1
