INSERT INTO {banks} (instrument, version, title, description, scale, questions, published_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
