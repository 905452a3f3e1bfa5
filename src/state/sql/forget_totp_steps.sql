DELETE FROM {state.used_totp_steps} WHERE used_at <= $1
