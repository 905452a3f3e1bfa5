INSERT INTO {state.challenges} (token_hash, purpose, account_id, sequence, expires_at) VALUES ($1, $2, $3, $4, $5)
