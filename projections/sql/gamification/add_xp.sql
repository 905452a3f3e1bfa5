INSERT INTO {progress} AS known (account_id, total_xp)
{rows}
ON CONFLICT (account_id) DO UPDATE SET total_xp = known.total_xp + excluded.total_xp
