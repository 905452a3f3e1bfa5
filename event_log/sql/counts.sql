SELECT aggregate_type, event_type, event_version, count(*) AS events,
       count(DISTINCT aggregate_id) AS streams, max(position) AS last_position
  FROM {log.events}
 GROUP BY aggregate_type, event_type, event_version
 ORDER BY aggregate_type, event_type, event_version
