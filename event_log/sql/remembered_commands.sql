WITH asked (key) AS ({rows})
SELECT a.key
  FROM asked a
 WHERE (SELECT true FROM {log.command_ids} c WHERE c.key = a.key)
