SELECT projection, generation, version, state, log_id, position, event_id, target, owner, epoch,
       stopped, attempts, error, error_position, started_at, updated_at
  FROM {read.generations}
 ORDER BY projection, generation
