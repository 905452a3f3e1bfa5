UPDATE {keys.data_keys} SET wrapped = NULL, destroyed_at = $2
 WHERE subject_id = $1 AND wrapped IS NOT NULL
