CREATE TABLE {banks} (
    instrument TEXT NOT NULL,
    version BIGINT NOT NULL,
    title TEXT NOT NULL,
    description TEXT NOT NULL,
    scale TEXT NOT NULL,
    questions BIGINT NOT NULL,
    published_at TIMESTAMPTZ NOT NULL,
    retired_at TIMESTAMPTZ,
    PRIMARY KEY (instrument, version)
);
CREATE TABLE {bank_categories} (
    instrument TEXT NOT NULL,
    version BIGINT NOT NULL,
    place BIGINT NOT NULL,
    category TEXT NOT NULL,
    name TEXT NOT NULL,
    questions BIGINT NOT NULL,
    PRIMARY KEY (instrument, version, place)
);
CREATE TABLE {bank_items} (
    instrument TEXT NOT NULL,
    version BIGINT NOT NULL,
    place BIGINT NOT NULL,
    item TEXT NOT NULL,
    category TEXT NOT NULL,
    body TEXT NOT NULL,
    tooltip TEXT,
    min_age BIGINT NOT NULL,
    max_age BIGINT NOT NULL,
    PRIMARY KEY (instrument, version, place)
);
CREATE UNIQUE INDEX {#bank_items}_by_item ON {bank_items} (instrument, version, item);
