DELETE FROM {xp_awards} WHERE account_id IN ({rows})
