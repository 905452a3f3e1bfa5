SELECT failures, retry_at FROM {state.login_ladder} WHERE key = $1 AND failed_at > $2
