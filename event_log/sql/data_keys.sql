SELECT k.key_id, k.scope, k.subject_id, k.wrapped, s.wrapped AS subject_wrapped
  FROM {keys.data_keys} k
  JOIN {keys.data_keys} s ON s.scope = 'subject' AND s.subject_id = k.subject_id
 WHERE k.key_id IN ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16,
                    $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32)
