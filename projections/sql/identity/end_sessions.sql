DELETE FROM {sessions} WHERE id IN ({rows})
