UPDATE {keys.data_keys} SET wrapped = NULL, destroyed_at = coalesce(destroyed_at, $3)
 WHERE scope = 'stream' AND aggregate_type = $1 AND aggregate_id = $2
RETURNING key_id
