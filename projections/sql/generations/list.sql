SELECT projection, generation, version, state, tables, log_id, position, event_id, target, owner,
       owner IS NOT NULL AND lease_until >= {now_ms} AS leased,
       epoch, stopped, attempts, error, error_position, started_at, updated_at
  FROM {read.generations}
 ORDER BY projection, generation
