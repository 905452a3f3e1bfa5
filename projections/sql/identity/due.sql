SELECT id, purge_after, erasing
  FROM {accounts}
 WHERE purge_after <= $1
 ORDER BY purge_after, id
