UPDATE {read.generations}
   SET owner = $3, epoch = epoch + 1, lease_until = {now_ms} + $4, rate = 0, rated_position = position,
       rated_at = {now_ms}
 WHERE projection = $1 AND generation = $2 AND NOT stopped
   AND (owner IS NULL OR owner = $3 OR lease_until < {now_ms})
RETURNING position, epoch
