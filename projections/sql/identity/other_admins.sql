SELECT COUNT(*) FROM {accounts}
 WHERE admin AND NOT suspended AND NOT erasing AND purge_after IS NULL AND id <> $1
