CREATE INDEX IF NOT EXISTS {#exams}_by_account ON {exams} (account_id, started_at, id);
CREATE INDEX IF NOT EXISTS {#exam_standings}_by_result
    ON {exam_standings} (instrument, bank_version, scoring_version, tenths);
