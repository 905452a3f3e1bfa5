UPDATE {read.generations} SET state = 'live', owner = NULL, lease_until = {now_ms}, updated_at = $3
 WHERE projection = $1 AND generation = $2 AND state <> 'live'
RETURNING position, epoch
