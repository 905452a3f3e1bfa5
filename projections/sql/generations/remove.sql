DELETE FROM {read.generations} WHERE projection = $1 AND generation = $2 AND state = $3
