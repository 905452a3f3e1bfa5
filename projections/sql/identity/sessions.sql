SELECT s.id, s.started_at, s.refreshed_at, s.expires_at, s.label, s.ip, s.user_agent
  FROM {sessions} s
  JOIN {accounts} a ON a.id = s.account_id
 WHERE s.account_id = $1 AND s.account_sequence >= a.session_floor AND s.expires_at > $2
   AND (s.started_at < $3 OR (s.started_at = $3 AND s.id < $4))
 ORDER BY s.started_at DESC, s.id DESC
 LIMIT $5
