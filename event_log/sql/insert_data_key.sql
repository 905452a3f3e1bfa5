INSERT INTO {keys.data_keys} (key_id, scope, subject_id, aggregate_type, aggregate_id, master_version, wrapped, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT DO NOTHING
