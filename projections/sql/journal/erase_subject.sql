DELETE FROM {entries} WHERE account_id = $1
