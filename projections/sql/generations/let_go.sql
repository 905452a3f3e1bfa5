UPDATE {read.generations}
   SET owner = NULL, epoch = epoch + 1, lease_until = {now_ms}, updated_at = $3,
       attempts = CASE WHEN error_position = $2 THEN 0 ELSE attempts END,
       stopped = stopped AND error_position IS DISTINCT FROM $2
 WHERE projection = $1
