DELETE FROM {state.login_ladder} WHERE key = $1
