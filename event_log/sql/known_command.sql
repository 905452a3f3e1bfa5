SELECT request, outcome, sequence, position
  FROM {log.command_ids}
 WHERE key = $1 AND (expires_at IS NULL OR expires_at > $2)
