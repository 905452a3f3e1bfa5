WITH over_below (account_id, floor) AS ({rows})
DELETE FROM {sessions}
 WHERE id IN (
    SELECT s.id
      FROM over_below o
      JOIN {sessions} s ON s.account_id = o.account_id AND s.account_sequence < o.floor)
