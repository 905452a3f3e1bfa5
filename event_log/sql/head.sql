SELECT log_id, position FROM {log.head} WHERE id = 1
