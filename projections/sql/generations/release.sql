UPDATE {read.generations} SET owner = NULL, lease_until = {now_ms}
 WHERE owner = $1 AND projection = $2 AND generation = $3
