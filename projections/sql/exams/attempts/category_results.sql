SELECT category, items, score, lowest, highest, tenths, band
FROM {exam_category_results}
WHERE exam_id = $1
ORDER BY category
