DELETE FROM {state.used_totp_steps} WHERE account_id = $1
