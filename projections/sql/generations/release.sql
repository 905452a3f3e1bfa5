UPDATE {read.generations} SET owner = NULL, lease_until = 0 WHERE owner = $1 AND projection = $2 AND generation = $3
