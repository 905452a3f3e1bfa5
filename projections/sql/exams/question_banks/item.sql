SELECT place, item, category, body, tooltip
FROM {bank_items}
WHERE instrument = $1 AND version = $2 AND item = $3
