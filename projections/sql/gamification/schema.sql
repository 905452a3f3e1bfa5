-- What each account has earned, day streaks after their last counted day, and every award of XP.
CREATE TABLE {progress} (
    account_id UUID   NOT NULL PRIMARY KEY,
    total_xp   BIGINT NOT NULL
);
CREATE TABLE {streaks} (
    account_id UUID   NOT NULL,
    activity   TEXT   NOT NULL,
    days       BIGINT NOT NULL,
    longest    BIGINT NOT NULL,
    freezes    BIGINT NOT NULL,
    last_day   DATE   NOT NULL,
    PRIMARY KEY (account_id, activity)
);
CREATE TABLE {xp_awards} (
    position   BIGINT      NOT NULL PRIMARY KEY,
    account_id UUID        NOT NULL,
    amount     BIGINT      NOT NULL,
    reason     TEXT        NOT NULL,
    cause      UUID        NOT NULL,
    awarded_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX {#xp_awards}_by_account ON {xp_awards} (account_id, position);
