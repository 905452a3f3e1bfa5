SELECT id, instrument, bank_version, scoring_version, language, items, reflection, started_at, completed_at, expires_us,
       CASE WHEN status = 'in_progress' AND expires_us <= $3 THEN 'expired' ELSE status END AS status
FROM {exams}
WHERE id = $1 AND account_id = $2
