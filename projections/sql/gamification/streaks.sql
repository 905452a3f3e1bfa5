SELECT activity, days, longest, freezes, last_day FROM {streaks} WHERE account_id = $1
