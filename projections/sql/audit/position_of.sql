SELECT position FROM {audit_events} WHERE event_id = $1
