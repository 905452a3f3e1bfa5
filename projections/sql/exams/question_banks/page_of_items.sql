SELECT place, item, category, body, tooltip
FROM {bank_items}
WHERE instrument = $1 AND version = $2 AND place > $3
  AND ($4 IS NULL OR category = $4)
  AND ($5 IS NULL OR (min_age <= $5 AND max_age >= $5))
ORDER BY place
LIMIT $6
