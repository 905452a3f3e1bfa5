INSERT INTO {read.generations} (
    projection, generation, version, state, tables, log_id, position, target, epoch, lease_until, stopped,
    attempts, started_at, updated_at)
SELECT $1, coalesce((SELECT max(generation) FROM {read.generations} WHERE projection = $1), 0) + 1,
       $2, 'building', '', $3, 0, $4, 0, 0, FALSE, 0, $5, $5
 WHERE NOT EXISTS (
    SELECT 1 FROM {read.generations}
     WHERE projection = $1 AND version = $2 AND state = 'building')
ON CONFLICT (projection, generation) DO NOTHING
RETURNING generation
