INSERT INTO {read.generations} (
    projection, generation, version, state, tables, log_id, position, target, epoch, lease_until, stopped,
    attempts, rated_at, started_at, updated_at)
SELECT $1, $2, $3, 'building', '', $4, 0, $5, 0, 0, FALSE, 0, {now_ms}, $6, $6
 WHERE NOT EXISTS (
    SELECT 1 FROM {read.generations}
     WHERE projection = $1 AND version = $3 AND state = 'building')
