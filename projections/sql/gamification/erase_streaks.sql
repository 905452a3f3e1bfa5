DELETE FROM {streaks} WHERE account_id IN ({rows})
