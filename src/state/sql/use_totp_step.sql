INSERT INTO {state.used_totp_steps} (account_id, step, used_at)
SELECT $1, $2, $3
 WHERE NOT EXISTS (SELECT 1 FROM {state.used_totp_steps} WHERE account_id = $1 AND step >= $2)
ON CONFLICT (account_id, step) DO NOTHING
