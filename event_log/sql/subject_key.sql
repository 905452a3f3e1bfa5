SELECT key_id, scope, subject_id, wrapped, wrapped AS subject_wrapped
  FROM {keys.data_keys}
 WHERE scope = 'subject' AND subject_id = $1
