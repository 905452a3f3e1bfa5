UPDATE {accounts}
   SET suspended = COALESCE($2, suspended),
       purge_after = CASE WHEN $3 THEN $4 ELSE purge_after END,
       erasing = COALESCE($5, erasing),
       two_factor = COALESCE($6, two_factor),
       moderator = COALESCE($7, moderator),
       auditor = COALESCE($8, auditor),
       admin = COALESCE($9, admin),
       session_floor = COALESCE($10, session_floor)
 WHERE id = $1
