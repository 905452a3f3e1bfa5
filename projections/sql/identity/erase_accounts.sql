DELETE FROM {accounts} WHERE id IN ({rows})
