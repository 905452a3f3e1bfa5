INSERT INTO {streaks} (account_id, activity, days, longest, freezes, last_day)
{rows}
ON CONFLICT (account_id, activity) DO UPDATE
   SET days = excluded.days, longest = excluded.longest, freezes = excluded.freezes, last_day = excluded.last_day
