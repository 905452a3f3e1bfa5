DELETE FROM {streaks} WHERE account_id = $1
