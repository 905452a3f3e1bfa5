SELECT id, completed_at
FROM {exams}
WHERE account_id = $1 AND instrument = $2 AND status IN ('in_progress', 'completed')
ORDER BY completed_at DESC NULLS FIRST
LIMIT 1
