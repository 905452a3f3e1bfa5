UPDATE {entries}
   SET updated_at = $2, revision = $3, title = $4, content = $5, tags = $6, stress_triggers = $7,
       daily_schedule = $8, mood_rating = $9, energy_level = $10, stress_level = $11, sleep_quality = $12,
       sleep_hours = $13, work_hours = $14, screen_time_mins = $15, language = $16, entry_date = $17,
       sentiment_compound = $18, sentiment_score = $19, sentiment_label = $20, patterns = $21,
       word_count = $22, reading_time_mins = $23
 WHERE id = $1
