WITH change (id, deleted) AS ({rows})
UPDATE {entries} AS e SET deleted = c.deleted
  FROM change c
 WHERE e.id = c.id
