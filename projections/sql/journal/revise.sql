WITH revised (id, updated_at, revision, title, content, tags, stress_triggers, daily_schedule, mood_rating,
    energy_level, stress_level, sleep_quality, sleep_hours, work_hours, screen_time_mins, language,
    entry_date, sentiment_compound, sentiment_score, sentiment_label, patterns, word_count, reading_time_mins)
  AS ({rows})
UPDATE {entries} AS e
   SET updated_at = r.updated_at, revision = r.revision, title = r.title, content = r.content,
       tags = r.tags, stress_triggers = r.stress_triggers, daily_schedule = r.daily_schedule,
       mood_rating = r.mood_rating, energy_level = r.energy_level, stress_level = r.stress_level,
       sleep_quality = r.sleep_quality, sleep_hours = r.sleep_hours, work_hours = r.work_hours,
       screen_time_mins = r.screen_time_mins, language = r.language, entry_date = r.entry_date,
       sentiment_compound = r.sentiment_compound, sentiment_score = r.sentiment_score,
       sentiment_label = r.sentiment_label, patterns = r.patterns, word_count = r.word_count,
       reading_time_mins = r.reading_time_mins
  FROM revised r
 WHERE e.id = r.id
