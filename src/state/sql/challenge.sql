SELECT account_id, sequence FROM {state.challenges}
 WHERE token_hash = $1 AND purpose = $2 AND used_at IS NULL AND expires_at > $3
