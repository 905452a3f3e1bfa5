WITH revised (id, updated_at, revision, entry_date, mood_rating, shown) AS ({rows})
UPDATE {entries} AS e
   SET updated_at = r.updated_at, revision = r.revision, entry_date = r.entry_date, mood_rating = r.mood_rating,
       shown = r.shown
  FROM revised r
 WHERE e.id = r.id
