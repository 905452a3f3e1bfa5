SELECT id, username, email, registered_at, suspended, purge_after, erasing, two_factor, moderator, auditor, admin
  FROM {accounts}
 WHERE purge_after <= $1
 ORDER BY purge_after, id
