WITH change (id, status, completed_at, active_us, rewrites, reflection) AS ({rows})
UPDATE {exams} AS e SET
    status = coalesce(c.status, e.status),
    completed_at = coalesce(c.completed_at, e.completed_at),
    expires_us = coalesce(c.active_us + e.idle_us, e.expires_us),
    reflection = CASE WHEN c.rewrites THEN c.reflection ELSE e.reflection END
FROM change c
WHERE e.id = c.id
