SELECT name, owner IS NOT NULL AND lease_until >= {now_ms} AS running, started_at, finished_at, error
  FROM {state.jobs}
 ORDER BY name
