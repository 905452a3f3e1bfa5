SELECT projection, generation, version, state, tables, log_id, position, event_id, target, owner,
       owner IS NOT NULL AND lease_until >= {now_ms} AS leased, lease_until - {now_ms} AS lease_left_ms,
       CASE WHEN {now_ms} - rated_at >= 3000
       THEN (position - rated_position) * 1000 / ({now_ms} - rated_at) ELSE rate END AS rate,
       {now_ms} - retired_at AS retired_ms,
       epoch, stopped, attempts, error, error_position, error_at, started_at, updated_at
  FROM {read.generations}
 ORDER BY projection, generation
