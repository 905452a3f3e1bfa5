SELECT id, created_at, updated_at, revision, shown
  FROM {entries}
 WHERE account_id = $1 AND NOT deleted AND (created_at, id) < ($2, $3)
   AND entry_date >= $4 AND entry_date <= $5
   AND ($6 IS NULL OR mood_rating >= $6) AND ($7 IS NULL OR mood_rating <= $7)
 ORDER BY created_at DESC, id DESC
 LIMIT $8
