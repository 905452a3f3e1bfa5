INSERT INTO {keys.data_keys} (key_id, scope, subject_id, aggregate_type, aggregate_id, master_version, wrapped, created_at)
{rows}
ON CONFLICT DO NOTHING
RETURNING key_id
