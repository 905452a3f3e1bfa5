UPDATE {state.login_ladder} SET retry_at = $2 WHERE key = $1 AND retry_at < $2
