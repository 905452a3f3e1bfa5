INSERT INTO {entries} (id, account_id, created_at, deleted, updated_at, revision, entry_date, mood_rating, shown)
{rows}
