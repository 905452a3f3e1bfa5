INSERT INTO {read.generation_numbers} AS n (projection, last) VALUES ($1, 1)
ON CONFLICT (projection) DO UPDATE SET last = n.last + 1
RETURNING last
