SELECT e.instrument, e.bank_version, e.scoring_version, e.language, e.started_at, e.completed_at,
       r.tenths, r.band, r.rushed, r.inconsistent, r.compound, r.sentiment_score, r.sentiment_label
FROM {exams} e
JOIN {exam_results} r ON r.exam_id = e.id
WHERE e.id = $1 AND e.account_id = $2
