INSERT INTO {keys.instance_keys} (purpose, version, master_version, wrapped, created_at)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (purpose, version) DO NOTHING
