-- faults records when the node could not take or judge proofs. What was due after a
-- fault's start becomes due later; cursors say how far this work is. A process
-- reports in processes that it can do its duty: without a break from well_since to
-- well. Older versions report nothing. contracts.fault_mark is 1 + 2 * sequence +
-- answered when a fault moved the contract: if this still fits, the farmer has sent no
-- proof and got no challenge since the fault.
--
-- MySQL has no ADD COLUMN IF NOT EXISTS, so the statements are composed.

-- +goose Up

CREATE TABLE IF NOT EXISTS faults (
    id            BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
    start         BIGINT       NOT NULL,
    ended         BIGINT       NOT NULL DEFAULT 0, -- the end; 0 while the fault lasts
    resume        BIGINT       NOT NULL DEFAULT 0, -- when farmers must have come back
    cause         VARCHAR(32)  NOT NULL,
    evidence      VARCHAR(255) NOT NULL,
    voided        BIGINT       NOT NULL DEFAULT 0, -- contracts that ended because of the fault
    next_contract BIGINT       NOT NULL DEFAULT 0, -- contracts and tokens with smaller ids were moved
    next_token    BIGINT       NOT NULL DEFAULT 0,
    applied       BOOLEAN      NOT NULL DEFAULT FALSE,
    KEY faults_resume (resume),
    KEY faults_applied (applied)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

SET @change = IF((SELECT COUNT(*) FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'processes' AND column_name = 'well') = 0,
    'ALTER TABLE processes ADD COLUMN well_since BIGINT NOT NULL DEFAULT 0, ADD COLUMN well BIGINT NOT NULL DEFAULT 0',
    'DO 0');
PREPARE change_processes FROM @change;
EXECUTE change_processes;
DEALLOCATE PREPARE change_processes;

SET @change = IF((SELECT COUNT(*) FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'contracts' AND column_name = 'fault_mark') = 0,
    'ALTER TABLE contracts ADD COLUMN fault_mark BIGINT NOT NULL DEFAULT 0',
    'DO 0');
PREPARE change_contracts FROM @change;
EXECUTE change_contracts;
DEALLOCATE PREPARE change_contracts;

-- +goose Down

SET @change = IF((SELECT COUNT(*) FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'contracts' AND column_name = 'fault_mark') > 0,
    'ALTER TABLE contracts DROP COLUMN fault_mark',
    'DO 0');
PREPARE change_contracts FROM @change;
EXECUTE change_contracts;
DEALLOCATE PREPARE change_contracts;

SET @change = IF((SELECT COUNT(*) FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'processes' AND column_name = 'well') > 0,
    'ALTER TABLE processes DROP COLUMN well_since, DROP COLUMN well',
    'DO 0');
PREPARE change_processes FROM @change;
EXECUTE change_processes;
DEALLOCATE PREPARE change_processes;

DROP TABLE IF EXISTS faults;
