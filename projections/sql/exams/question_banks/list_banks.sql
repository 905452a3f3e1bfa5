SELECT instrument, version, title, description, scale, questions, published_at, retired_at
FROM {banks}
WHERE $1 IS NULL OR (instrument, version) > ($1, $2)
ORDER BY instrument, version
LIMIT $3
