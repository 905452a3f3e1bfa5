UPDATE {banks} SET retired_at = $3 WHERE instrument = $1 AND version = $2
