DELETE FROM {state.login_ladder} WHERE failed_at <= $1
