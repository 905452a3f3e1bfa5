DELETE FROM {log.command_ids} WHERE expires_at <= $1
