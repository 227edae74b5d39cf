-- Those who keep the farmers in memory follow the tokens by when they were
-- written: tokens.changed, and departures for those that were deleted. Both
-- are the database's own clock, in microseconds since the Unix epoch.
--
-- The list of who is online is no longer asked of the database, and so needs
-- no index; what it cost to keep pays for the new one.
--
-- MySQL knows no ADD COLUMN IF NOT EXISTS: the statement is made up.

-- +goose Up

SET @change = IF((SELECT COUNT(*) FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'tokens' AND column_name = 'changed') = 0,
    'ALTER TABLE tokens ADD COLUMN changed BIGINT NOT NULL DEFAULT 0, ADD KEY tokens_changed (changed), DROP KEY tokens_up_end',
    'DO 0');
PREPARE change_tokens FROM @change;
EXECUTE change_tokens;
DEALLOCATE PREPARE change_tokens;

CREATE TABLE IF NOT EXISTS departures (
    farmer_id CHAR(20) NOT NULL PRIMARY KEY,
    changed   BIGINT   NOT NULL,
    KEY departures_changed (changed)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- +goose Down

DROP TABLE IF EXISTS departures;

SET @change = IF((SELECT COUNT(*) FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'tokens' AND column_name = 'changed') > 0,
    'ALTER TABLE tokens DROP KEY tokens_changed, DROP COLUMN changed, ADD KEY tokens_up_end (up_end)',
    'DO 0');
PREPARE change_tokens FROM @change;
EXECUTE change_tokens;
DEALLOCATE PREPARE change_tokens;
