SELECT count(*) AS others,
       count(*) FILTER (WHERE tenths < $5) AS below,
       count(*) FILTER (WHERE tenths = $5) AS equal
FROM {exam_standings}
WHERE instrument = $1 AND bank_version = $2 AND scoring_version = $3 AND account_id <> $4 AND NOT hidden
