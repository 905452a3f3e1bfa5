UPDATE {read.generations}
   SET position = $5, event_id = $6, lease_until = {now_ms} + $7, attempts = 0, error = NULL,
       error_position = NULL, error_at = NULL, updated_at = $8,
       rate = CASE WHEN {now_ms} - rated_at >= 1000
              THEN ($5 - rated_position) * 1000 / ({now_ms} - rated_at) ELSE rate END,
       rated_position = CASE WHEN {now_ms} - rated_at >= 1000 THEN $5 ELSE rated_position END,
       rated_at = CASE WHEN {now_ms} - rated_at >= 1000 THEN {now_ms} ELSE rated_at END
 WHERE projection = $1 AND generation = $2 AND epoch = $3 AND position = $4
