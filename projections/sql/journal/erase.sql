DELETE FROM {entries} WHERE id IN ({rows})
