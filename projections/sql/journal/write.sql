INSERT INTO {entries} (
    id, account_id, created_at, deleted, updated_at, revision, title, content, tags, stress_triggers,
    daily_schedule, mood_rating, energy_level, stress_level, sleep_quality, sleep_hours, work_hours,
    screen_time_mins, language, entry_date, sentiment_compound, sentiment_score, sentiment_label, patterns,
    word_count, reading_time_mins
)
{rows}
