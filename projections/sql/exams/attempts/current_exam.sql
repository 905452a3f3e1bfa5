SELECT id, instrument, bank_version, scoring_version, language, items, reflection, started_at, completed_at, expires_us, status
FROM {exams}
WHERE account_id = $1 AND status = 'in_progress' AND expires_us > $2
  AND ($3 IS NULL OR instrument = $3)
ORDER BY started_at DESC, id DESC
LIMIT 1
