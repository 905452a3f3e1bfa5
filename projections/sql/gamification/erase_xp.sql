DELETE FROM {progress} WHERE account_id IN ({rows})
