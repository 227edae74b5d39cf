-- faults.declared marks the maintenance that a DownstreamNode's spec.maintenance plans.
--
-- MySQL has no ADD COLUMN IF NOT EXISTS, so the statements are composed.

-- +goose Up

SET @change = IF((SELECT COUNT(*) FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'faults' AND column_name = 'declared') = 0,
    'ALTER TABLE faults ADD COLUMN declared BOOLEAN NOT NULL DEFAULT FALSE',
    'DO 0');
PREPARE change_faults FROM @change;
EXECUTE change_faults;
DEALLOCATE PREPARE change_faults;

-- +goose Down

SET @change = IF((SELECT COUNT(*) FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'faults' AND column_name = 'declared') > 0,
    'ALTER TABLE faults DROP COLUMN declared',
    'DO 0');
PREPARE change_faults FROM @change;
EXECUTE change_faults;
DEALLOCATE PREPARE change_faults;
