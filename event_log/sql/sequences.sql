WITH asked (aggregate_type, aggregate_id) AS ({rows})
SELECT a.aggregate_type, a.aggregate_id,
       coalesce((SELECT max(e.sequence) FROM {log.events} e
                  WHERE e.aggregate_type = a.aggregate_type AND e.aggregate_id = a.aggregate_id), 0) AS sequence
  FROM asked a
