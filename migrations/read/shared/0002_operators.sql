-- How fast a generation moves: events a second over the last window of a second or more, and where that
-- window began. retired_at and rated_at are in milliseconds of the database clock.
ALTER TABLE generations ADD COLUMN rate BIGINT NOT NULL DEFAULT 0;
ALTER TABLE generations ADD COLUMN rated_position BIGINT NOT NULL DEFAULT 0;
ALTER TABLE generations ADD COLUMN rated_at BIGINT NOT NULL DEFAULT 0;
-- When it was replaced.
ALTER TABLE generations ADD COLUMN retired_at BIGINT NOT NULL DEFAULT 0;
-- When it failed last.
ALTER TABLE generations ADD COLUMN error_at TIMESTAMPTZ;

-- The last number that a generation of a projection was given: none is given twice, so that neither a
-- reader nor a writer of one that was dropped can take another for it.
CREATE TABLE generation_numbers (
    projection TEXT   NOT NULL PRIMARY KEY,
    last       BIGINT NOT NULL
);
INSERT INTO generation_numbers (projection, last)
SELECT projection, max(generation) FROM generations GROUP BY projection;
