-- taken counts the transactions that locked a row of ips or addresses and added what a
-- limit counts. A Galera cluster notices two transactions on different nodes only if both
-- change the same row.
--
-- MySQL has no ADD COLUMN IF NOT EXISTS, so the statements are composed.

-- +goose Up

SET @change = IF((SELECT COUNT(*) FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'ips' AND column_name = 'taken') = 0,
    'ALTER TABLE ips ADD COLUMN taken BIGINT NOT NULL DEFAULT 0',
    'DO 0');
PREPARE change_ips FROM @change;
EXECUTE change_ips;
DEALLOCATE PREPARE change_ips;

SET @change = IF((SELECT COUNT(*) FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'addresses' AND column_name = 'taken') = 0,
    'ALTER TABLE addresses ADD COLUMN taken BIGINT NOT NULL DEFAULT 0',
    'DO 0');
PREPARE change_addresses FROM @change;
EXECUTE change_addresses;
DEALLOCATE PREPARE change_addresses;

-- +goose Down

SET @change = IF((SELECT COUNT(*) FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'addresses' AND column_name = 'taken') > 0,
    'ALTER TABLE addresses DROP COLUMN taken',
    'DO 0');
PREPARE change_addresses FROM @change;
EXECUTE change_addresses;
DEALLOCATE PREPARE change_addresses;

SET @change = IF((SELECT COUNT(*) FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'ips' AND column_name = 'taken') > 0,
    'ALTER TABLE ips DROP COLUMN taken',
    'DO 0');
PREPARE change_ips FROM @change;
EXECUTE change_ips;
DEALLOCATE PREPARE change_ips;
