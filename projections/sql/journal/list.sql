SELECT id, created_at, updated_at, revision, title, content, tags, stress_triggers, daily_schedule, mood_rating,
       energy_level, stress_level, sleep_quality, sleep_hours, work_hours, screen_time_mins, language,
       entry_date, sentiment_compound, sentiment_score, sentiment_label, patterns, word_count,
       reading_time_mins
  FROM {entries}
 WHERE account_id = $1 AND NOT deleted AND (created_at, id) < ($2, $3)
 ORDER BY created_at DESC, id DESC
 LIMIT $4
