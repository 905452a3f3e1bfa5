INSERT INTO {exam_answers} (exam_id, item, answer)
{rows}
ON CONFLICT (exam_id, item) DO UPDATE SET answer = excluded.answer
