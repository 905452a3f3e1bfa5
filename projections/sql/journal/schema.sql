-- Entries as they stand. What one shows is JSON, sealed with the entry's own key; beside it stands what entries
-- are found and ordered by.
CREATE TABLE {entries} (
    id          UUID        NOT NULL PRIMARY KEY,
    account_id  UUID        NOT NULL,
    created_at  TIMESTAMPTZ NOT NULL,
    deleted     BOOLEAN     NOT NULL,
    updated_at  TIMESTAMPTZ NOT NULL,
    revision    BIGINT      NOT NULL,
    entry_date  DATE        NOT NULL,
    mood_rating BIGINT,
    shown       BYTEA       NOT NULL
);
CREATE INDEX {#entries}_by_place ON {entries} (account_id, created_at, id);
