SELECT EXISTS (SELECT 1 FROM {keys.instance_keys}) OR EXISTS (SELECT 1 FROM {keys.data_keys}) AS present
