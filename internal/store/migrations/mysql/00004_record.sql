-- +goose Up

-- What happened within a span of time, added up: a row holds changes, also for
-- farmers, online, contracts and size, whose values are sums of all before.
-- step is 1 for a minute and 2 for an hour, start the span's start. The row of
-- step 0 is all that is too old to be kept apart. Transactions add to the
-- minute of what they record, each in a shard of its own choice, so that they
-- do not queue at one row; later the shards are gathered in shard 0.
CREATE TABLE IF NOT EXISTS spans (
    step       TINYINT  NOT NULL,
    start      BIGINT   NOT NULL,
    shard      SMALLINT NOT NULL,
    farmers    BIGINT   NOT NULL,
    online     BIGINT   NOT NULL,
    contracts  BIGINT   NOT NULL,
    size       BIGINT   NOT NULL,
    heartbeats BIGINT   NOT NULL,
    wrong      BIGINT   NOT NULL,
    expired    BIGINT   NOT NULL,
    PRIMARY KEY (step, start, shard)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

DROP TABLE IF EXISTS history;

-- A farmer's day that is over: time online, heartbeats and wrong answers
-- within it, contracts and size as they were at its end. Days without any of
-- it have no row. day counts from the Unix epoch, UTC.
CREATE TABLE IF NOT EXISTS farmer_days (
    token_id   BIGINT NOT NULL,
    day        INT    NOT NULL,
    online     BIGINT NOT NULL,
    heartbeats BIGINT NOT NULL,
    wrong      BIGINT NOT NULL,
    contracts  BIGINT NOT NULL,
    size       BIGINT NOT NULL,
    PRIMARY KEY (token_id, day),
    KEY farmer_days_day (day), -- the recorder deletes the oldest
    CONSTRAINT farmer_days_token_fk FOREIGN KEY (token_id) REFERENCES tokens (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- The day that a token is in, 0 before its first, and what its counts and its
-- time online were when that began. MySQL knows no ADD COLUMN IF NOT EXISTS:
-- the statement is made up.
SET @change = IF((SELECT COUNT(*) FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'tokens' AND column_name = 'day') = 0,
    'ALTER TABLE tokens ADD COLUMN day INT NOT NULL DEFAULT 0, ADD COLUMN day_heartbeats BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN day_wrong BIGINT NOT NULL DEFAULT 0, ADD COLUMN day_online BIGINT NOT NULL DEFAULT 0',
    'DO 0');
PREPARE change_tokens FROM @change;
EXECUTE change_tokens;
DEALLOCATE PREPARE change_tokens;

-- +goose Down

SET @change = IF((SELECT COUNT(*) FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'tokens' AND column_name = 'day') > 0,
    'ALTER TABLE tokens DROP COLUMN day_online, DROP COLUMN day_wrong, DROP COLUMN day_heartbeats, DROP COLUMN day',
    'DO 0');
PREPARE change_tokens FROM @change;
EXECUTE change_tokens;
DEALLOCATE PREPARE change_tokens;

DROP TABLE IF EXISTS farmer_days;
DROP TABLE IF EXISTS spans;
CREATE TABLE IF NOT EXISTS history (
    hour           BIGINT NOT NULL PRIMARY KEY,
    farmers_online BIGINT NOT NULL,
    contracts      BIGINT NOT NULL,
    size           BIGINT NOT NULL,
    heartbeats     BIGINT NOT NULL,
    wrong          BIGINT NOT NULL,
    expired        BIGINT NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
