CREATE INDEX IF NOT EXISTS {#accounts}_by_registration ON {accounts} (registered_at, id);
CREATE INDEX IF NOT EXISTS {#accounts}_by_purge ON {accounts} (purge_after) WHERE purge_after IS NOT NULL;
