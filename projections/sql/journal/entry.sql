SELECT id, created_at, updated_at, revision, shown
  FROM {entries}
 WHERE id = $1 AND account_id = $2 AND NOT deleted
