INSERT INTO {xp_awards} (position, account_id, amount, reason, cause, awarded_at)
{rows}
