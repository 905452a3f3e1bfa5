UPDATE {exam_standings} SET hidden = $2 WHERE account_id = $1
