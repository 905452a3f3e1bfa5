DELETE FROM {state.challenges} WHERE account_id = $1
