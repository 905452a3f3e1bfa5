DELETE FROM {entries} WHERE account_id IN ({rows})
