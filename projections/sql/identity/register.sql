INSERT INTO {accounts} (id, username, email, registered_at, suspended, purge_after, erasing, two_factor, moderator, auditor, admin, session_floor) {rows}
