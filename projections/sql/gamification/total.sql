SELECT total_xp FROM {progress} WHERE account_id = $1
