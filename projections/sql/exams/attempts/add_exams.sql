INSERT INTO {exams} (id, account_id, instrument, bank_version, scoring_version, language, items, total, status, reflection, started_at, completed_at, idle_us, expires_us)
{rows}
