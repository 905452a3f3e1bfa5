UPDATE {read.generations} SET state = 'old', updated_at = $3
 WHERE projection = $1 AND version = $2 AND state = 'live'
RETURNING generation, position
