UPDATE {read.generations}
   SET owner = $3, epoch = epoch + 1, lease_until = {now_ms} + $4
 WHERE projection = $1 AND generation = $2 AND NOT stopped
   AND (owner IS NULL OR owner = $3 OR lease_until < {now_ms})
RETURNING position, epoch
