UPDATE {read.generations}
   SET position = $5, event_id = $6, lease_until = {now_ms} + $7, attempts = 0, error = NULL,
       error_position = NULL, updated_at = $8
 WHERE projection = $1 AND generation = $2 AND epoch = $3 AND position = $4
