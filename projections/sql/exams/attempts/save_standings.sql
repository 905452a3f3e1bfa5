INSERT INTO {exam_standings} (account_id, instrument, bank_version, scoring_version, exam_id, tenths, hidden)
{rows}
ON CONFLICT (account_id, instrument, bank_version, scoring_version)
DO UPDATE SET exam_id = excluded.exam_id, tenths = excluded.tenths
