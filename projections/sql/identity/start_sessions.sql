INSERT INTO {sessions} (id, account_id, account_sequence, started_at, refreshed_at, expires_at, label, ip, user_agent) {rows}
