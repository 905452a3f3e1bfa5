DELETE FROM {state.challenges} WHERE expires_at <= $1
