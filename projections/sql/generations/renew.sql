UPDATE {read.generations} SET lease_until = {now_ms} + $2 WHERE owner = $1
