WITH refreshed (id, refreshed_at, expires_at) AS ({rows})
UPDATE {sessions} AS s SET refreshed_at = r.refreshed_at, expires_at = r.expires_at
  FROM refreshed r
 WHERE s.id = r.id
