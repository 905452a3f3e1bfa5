SELECT completed_at
FROM {exams}
WHERE account_id = $1 AND instrument = $2 AND status = 'completed'
ORDER BY completed_at DESC
LIMIT 1
