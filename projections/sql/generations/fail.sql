UPDATE {read.generations}
   SET attempts = $4, error = $5, error_position = $6, error_at = $8, stopped = $7, updated_at = $8
 WHERE projection = $1 AND generation = $2 AND epoch = $3
