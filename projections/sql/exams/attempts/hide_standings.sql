WITH change (account_id, hidden) AS ({rows})
UPDATE {exam_standings} AS s SET hidden = c.hidden
FROM change c
WHERE s.account_id = c.account_id
