SELECT e.id, e.instrument, e.bank_version, e.language, e.total, e.started_at, e.completed_at, e.status,
       (SELECT count(*) FROM {exam_answers} a WHERE a.exam_id = e.id) AS answered,
       r.tenths, r.band
FROM (
    SELECT id, instrument, bank_version, language, total, started_at, completed_at,
           CASE WHEN status = 'in_progress' AND expires_us <= $2 THEN 'expired' ELSE status END AS status
    FROM {exams}
    WHERE account_id = $1
) e
LEFT JOIN {exam_results} r ON r.exam_id = e.id
WHERE ($3 IS NULL OR e.instrument = $3)
  AND ($4 IS NULL OR e.status = $4)
  AND ($5 IS NULL OR (e.started_at, e.id) < ($5, $6))
ORDER BY e.started_at DESC, e.id DESC
LIMIT $7
