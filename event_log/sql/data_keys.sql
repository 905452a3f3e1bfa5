SELECT k.key_id, k.scope, k.subject_id, k.wrapped, s.wrapped AS subject_wrapped
  FROM {keys.data_keys} k
  JOIN {keys.data_keys} s ON s.scope = 'subject' AND s.subject_id = k.subject_id
 WHERE k.key_id IN ({rows})
