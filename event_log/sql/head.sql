SELECT log_id, coalesce((SELECT max(position) FROM {log.events}), 0) AS position FROM {log.head} WHERE id = 1
