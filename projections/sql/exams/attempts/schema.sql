CREATE TABLE {exams} (
    id UUID PRIMARY KEY,
    account_id UUID NOT NULL,
    instrument TEXT NOT NULL,
    bank_version BIGINT NOT NULL,
    scoring_version BIGINT NOT NULL,
    language TEXT NOT NULL,
    items TEXT NOT NULL,
    total BIGINT NOT NULL,
    status TEXT NOT NULL,
    reflection BYTEA,
    started_at TIMESTAMPTZ NOT NULL,
    completed_at TIMESTAMPTZ,
    idle_us BIGINT NOT NULL,
    expires_us BIGINT NOT NULL
);
CREATE TABLE {exam_answers} (
    exam_id UUID NOT NULL,
    item TEXT NOT NULL,
    answer BIGINT NOT NULL,
    PRIMARY KEY (exam_id, item)
);
CREATE TABLE {exam_results} (
    exam_id UUID PRIMARY KEY,
    tenths BIGINT NOT NULL,
    band TEXT NOT NULL,
    rushed BOOLEAN NOT NULL,
    inconsistent BOOLEAN,
    compound DOUBLE PRECISION,
    sentiment_score DOUBLE PRECISION,
    sentiment_label TEXT
);
CREATE TABLE {exam_category_results} (
    exam_id UUID NOT NULL,
    category TEXT NOT NULL,
    items BIGINT NOT NULL,
    score BIGINT NOT NULL,
    lowest BIGINT NOT NULL,
    highest BIGINT NOT NULL,
    tenths BIGINT NOT NULL,
    band TEXT,
    PRIMARY KEY (exam_id, category)
);
CREATE TABLE {exam_standings} (
    account_id UUID NOT NULL,
    instrument TEXT NOT NULL,
    bank_version BIGINT NOT NULL,
    scoring_version BIGINT NOT NULL,
    exam_id UUID NOT NULL,
    tenths BIGINT NOT NULL,
    hidden BOOLEAN NOT NULL,
    PRIMARY KEY (account_id, instrument, bank_version, scoring_version)
);
CREATE INDEX {#exam_standings}_by_exam ON {exam_standings} (exam_id);
