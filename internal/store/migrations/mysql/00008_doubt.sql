-- A process reports how many proofs it got in the last seconds: decided, undecided, and
-- since when and until when most were undecided. tokens.returned is when the farmer last
-- asked for a contract whose deadline may still move. faults.silent is how many farmers
-- an unreachable node missed; a discarded fault moved nothing; planned is the planned
-- end of a maintenance.
--
-- MySQL has no ADD COLUMN IF NOT EXISTS, so the statements are composed.

-- +goose Up

SET @change = IF((SELECT COUNT(*) FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'processes' AND column_name = 'decided') = 0,
    'ALTER TABLE processes ADD COLUMN decided BIGINT NOT NULL DEFAULT 0, ADD COLUMN undecided BIGINT NOT NULL DEFAULT 0, ADD COLUMN failing_since BIGINT NOT NULL DEFAULT 0, ADD COLUMN failing_until BIGINT NOT NULL DEFAULT 0',
    'DO 0');
PREPARE change_processes FROM @change;
EXECUTE change_processes;
DEALLOCATE PREPARE change_processes;

SET @change = IF((SELECT COUNT(*) FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'tokens' AND column_name = 'returned') = 0,
    'ALTER TABLE tokens ADD COLUMN returned BIGINT NOT NULL DEFAULT 0',
    'DO 0');
PREPARE change_tokens FROM @change;
EXECUTE change_tokens;
DEALLOCATE PREPARE change_tokens;

SET @change = IF((SELECT COUNT(*) FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'faults' AND column_name = 'planned') = 0,
    'ALTER TABLE faults ADD COLUMN planned BIGINT NOT NULL DEFAULT 0, ADD COLUMN silent BIGINT NOT NULL DEFAULT 0, ADD COLUMN discarded BOOLEAN NOT NULL DEFAULT FALSE',
    'DO 0');
PREPARE change_faults FROM @change;
EXECUTE change_faults;
DEALLOCATE PREPARE change_faults;

-- +goose Down

SET @change = IF((SELECT COUNT(*) FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'faults' AND column_name = 'planned') > 0,
    'ALTER TABLE faults DROP COLUMN planned, DROP COLUMN silent, DROP COLUMN discarded',
    'DO 0');
PREPARE change_faults FROM @change;
EXECUTE change_faults;
DEALLOCATE PREPARE change_faults;

SET @change = IF((SELECT COUNT(*) FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'tokens' AND column_name = 'returned') > 0,
    'ALTER TABLE tokens DROP COLUMN returned',
    'DO 0');
PREPARE change_tokens FROM @change;
EXECUTE change_tokens;
DEALLOCATE PREPARE change_tokens;

SET @change = IF((SELECT COUNT(*) FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'processes' AND column_name = 'decided') > 0,
    'ALTER TABLE processes DROP COLUMN decided, DROP COLUMN undecided, DROP COLUMN failing_since, DROP COLUMN failing_until',
    'DO 0');
PREPARE change_processes FROM @change;
EXECUTE change_processes;
DEALLOCATE PREPARE change_processes;
