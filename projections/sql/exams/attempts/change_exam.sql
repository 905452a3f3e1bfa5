UPDATE {exams} SET
    status = coalesce($2, status),
    completed_at = coalesce($3, completed_at),
    expires_us = coalesce($4 + idle_us, expires_us),
    reflection = CASE WHEN $5 THEN $6 ELSE reflection END
WHERE id = $1
