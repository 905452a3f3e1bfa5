UPDATE {read.generations} SET tables = $3 WHERE projection = $1 AND generation = $2
