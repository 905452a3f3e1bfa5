SELECT instrument, version, title, description, scale, questions, published_at, retired_at
FROM {banks}
WHERE instrument = $1 AND retired_at IS NULL
ORDER BY version DESC
LIMIT 1
