-- Halved again and again, since time runs along positions: everything before `low` is earlier, nothing from `high` on.
WITH RECURSIVE bounds (low, high) AS (
    SELECT min(position), max(position) + 1 FROM {audit_events}
    UNION ALL
    SELECT CASE WHEN (SELECT e.recorded_at FROM {audit_events} e
                       WHERE e.position >= (low + high) / 2 ORDER BY e.position LIMIT 1) < $1
                THEN (low + high) / 2 + 1 ELSE low END,
           CASE WHEN (SELECT e.recorded_at FROM {audit_events} e
                       WHERE e.position >= (low + high) / 2 ORDER BY e.position LIMIT 1) < $1
                THEN high ELSE (low + high) / 2 END
      FROM bounds
     WHERE low < high
)
SELECT low FROM bounds WHERE low = high AND low <= (SELECT max(position) FROM {audit_events})
