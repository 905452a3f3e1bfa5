SELECT id, created_at, updated_at, revision, shown
  FROM {entries}
 WHERE account_id = $1 AND NOT deleted AND (created_at, id) < ($2, $3)
 ORDER BY created_at DESC, id DESC
 LIMIT $4
