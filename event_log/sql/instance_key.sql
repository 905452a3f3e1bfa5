SELECT wrapped FROM {keys.instance_keys} WHERE purpose = $1 AND version = $2
