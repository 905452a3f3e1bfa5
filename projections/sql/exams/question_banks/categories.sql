SELECT category, name, questions
FROM {bank_categories}
WHERE instrument = $1 AND version = $2
ORDER BY place
