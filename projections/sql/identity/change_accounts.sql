WITH change (id, suspended, decides_purge, purge_after, erasing, two_factor, moderator, auditor, admin, session_floor)
  AS ({rows})
UPDATE {accounts} AS a
   SET suspended = COALESCE(c.suspended, a.suspended),
       purge_after = CASE WHEN c.decides_purge THEN c.purge_after ELSE a.purge_after END,
       erasing = COALESCE(c.erasing, a.erasing),
       two_factor = COALESCE(c.two_factor, a.two_factor),
       moderator = COALESCE(c.moderator, a.moderator),
       auditor = COALESCE(c.auditor, a.auditor),
       admin = COALESCE(c.admin, a.admin),
       session_floor = COALESCE(c.session_floor, a.session_floor)
  FROM change c
 WHERE a.id = c.id
