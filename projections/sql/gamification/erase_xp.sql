DELETE FROM {progress} WHERE account_id = $1
