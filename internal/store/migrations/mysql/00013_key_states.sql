-- Heartbeat keys that replace each other.
--
-- heartbeat_keys.shared is 1 if all processes had the key at one time; only then does it
-- encode files. successor is the key that replaces it, or 0. need is the number of contracts
-- that still need a replaced key, as last counted, or -1 if nobody has counted them.
-- retired is the time when no row referred to it any more, or 0. compromised is 1 if
-- somebody else may know the key.
--
-- processes.key_ids lists the keys of a process, as ",1,2,". It is empty for an older
-- process, so no key is replaced while an older process runs.
--
-- MySQL has no ADD COLUMN IF NOT EXISTS, so the statements are composed.

-- +goose Up

SET @change = IF((SELECT COUNT(*) FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'heartbeat_keys' AND column_name = 'successor') = 0,
    'ALTER TABLE heartbeat_keys ADD COLUMN shared BOOLEAN NOT NULL DEFAULT 1, ADD COLUMN successor BIGINT NOT NULL DEFAULT 0, ADD COLUMN need BIGINT NOT NULL DEFAULT -1, ADD COLUMN retired BIGINT NOT NULL DEFAULT 0, ADD COLUMN compromised BOOLEAN NOT NULL DEFAULT 0',
    'DO 0');
PREPARE change_keys FROM @change;
EXECUTE change_keys;
DEALLOCATE PREPARE change_keys;

SET @change = IF((SELECT COUNT(*) FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'processes' AND column_name = 'key_ids') = 0,
    'ALTER TABLE processes ADD COLUMN key_ids VARCHAR(1024) NOT NULL DEFAULT ""',
    'DO 0');
PREPARE change_processes FROM @change;
EXECUTE change_processes;
DEALLOCATE PREPARE change_processes;

-- +goose Down

SET @change = IF((SELECT COUNT(*) FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'processes' AND column_name = 'key_ids') > 0,
    'ALTER TABLE processes DROP COLUMN key_ids',
    'DO 0');
PREPARE change_processes FROM @change;
EXECUTE change_processes;
DEALLOCATE PREPARE change_processes;

-- An older version needs every key in the table, so retired keys leave it.
SET @change = IF((SELECT COUNT(*) FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'heartbeat_keys' AND column_name = 'successor') > 0,
    'DELETE FROM heartbeat_keys WHERE retired > 0',
    'DO 0');
PREPARE change_keys FROM @change;
EXECUTE change_keys;
DEALLOCATE PREPARE change_keys;

SET @change = IF((SELECT COUNT(*) FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'heartbeat_keys' AND column_name = 'successor') > 0,
    'ALTER TABLE heartbeat_keys DROP COLUMN shared, DROP COLUMN successor, DROP COLUMN need, DROP COLUMN retired, DROP COLUMN compromised',
    'DO 0');
PREPARE change_keys FROM @change;
EXECUTE change_keys;
DEALLOCATE PREPARE change_keys;
