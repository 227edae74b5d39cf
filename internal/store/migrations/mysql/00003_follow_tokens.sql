-- Those who keep the farmers in memory follow the tokens by when they were
-- written: tokens.changed, and departures for those that were deleted. Both
-- are the database's own clock, in microseconds since the Unix epoch.
--
-- The list of who is online is no longer asked of the database, and so needs
-- no index; what it cost to keep pays for the new one.
--
-- The index of what expired holds all that is asked of it, so that thousands
-- of contracts that are over and not swept are counted without reading them;
-- and orphans is the files that deleted tokens left behind, so that nobody
-- has to look through all files for them.
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

SET @change = IF((SELECT COUNT(*) FROM information_schema.statistics
    WHERE table_schema = DATABASE() AND table_name = 'contracts' AND index_name = 'contracts_live_expiry') = 2,
    'ALTER TABLE contracts DROP KEY contracts_live_expiry, ADD KEY contracts_live_expiry (live, expiry, token_id, size)',
    'DO 0');
PREPARE change_contracts FROM @change;
EXECUTE change_contracts;
DEALLOCATE PREPARE change_contracts;

CREATE TABLE IF NOT EXISTS orphans (
    id      BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    file_id BIGINT NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

INSERT INTO orphans (file_id) SELECT f.id FROM files f WHERE NOT EXISTS (SELECT 1 FROM chunks c WHERE c.file_id = f.id)
    AND NOT EXISTS (SELECT 1 FROM contracts c WHERE c.file_id = f.id);

-- +goose Down

DROP TABLE IF EXISTS orphans;

SET @change = IF((SELECT COUNT(*) FROM information_schema.statistics
    WHERE table_schema = DATABASE() AND table_name = 'contracts' AND index_name = 'contracts_live_expiry') = 4,
    'ALTER TABLE contracts DROP KEY contracts_live_expiry, ADD KEY contracts_live_expiry (live, expiry)',
    'DO 0');
PREPARE change_contracts FROM @change;
EXECUTE change_contracts;
DEALLOCATE PREPARE change_contracts;

DROP TABLE IF EXISTS departures;

SET @change = IF((SELECT COUNT(*) FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'tokens' AND column_name = 'changed') > 0,
    'ALTER TABLE tokens DROP KEY tokens_changed, DROP COLUMN changed, ADD KEY tokens_up_end (up_end)',
    'DO 0');
PREPARE change_tokens FROM @change;
EXECUTE change_tokens;
DEALLOCATE PREPARE change_tokens;
