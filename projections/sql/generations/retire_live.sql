UPDATE {read.generations} SET state = 'old', retired_at = {now_ms}, updated_at = $3
 WHERE projection = $1 AND version = $2 AND state = 'live'
RETURNING generation, position
