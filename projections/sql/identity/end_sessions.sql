DELETE FROM {sessions} WHERE account_id = $1 AND account_sequence < $2
