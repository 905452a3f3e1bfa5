INSERT INTO {exam_category_results} (exam_id, category, items, score, lowest, highest, tenths, band)
{rows}
