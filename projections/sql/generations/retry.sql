UPDATE {read.generations} SET stopped = FALSE, attempts = 0, updated_at = $2
 WHERE projection = $1 AND stopped
