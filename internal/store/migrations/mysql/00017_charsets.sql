-- farmer_events was created without an engine and a character set, so it got those that the
-- database has by default. In a database with latin1, a reason in Cyrillic could not be recorded.
--
-- faults_ended finds the last fault, which every report reads. faults are never deleted.
--
-- Processes of the earlier version need none of this and are not disturbed. MySQL has no ADD KEY
-- IF NOT EXISTS, so the statements are composed.

-- +goose Up

SET @change = IF((SELECT COUNT(*) FROM information_schema.tables
    WHERE table_schema = DATABASE() AND table_name = 'farmer_events' AND (engine <> 'InnoDB' OR table_collation <> 'utf8mb4_bin')) > 0,
    'ALTER TABLE farmer_events ENGINE = InnoDB, CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin',
    'DO 0');
PREPARE change_farmer_events FROM @change;
EXECUTE change_farmer_events;
DEALLOCATE PREPARE change_farmer_events;

SET @change = IF((SELECT COUNT(*) FROM information_schema.statistics
    WHERE table_schema = DATABASE() AND table_name = 'faults' AND index_name = 'faults_ended') = 0,
    'ALTER TABLE faults ADD KEY faults_ended (ended)',
    'DO 0');
PREPARE change_faults FROM @change;
EXECUTE change_faults;
DEALLOCATE PREPARE change_faults;

-- +goose Down

SET @change = IF((SELECT COUNT(*) FROM information_schema.statistics
    WHERE table_schema = DATABASE() AND table_name = 'faults' AND index_name = 'faults_ended') > 0,
    'ALTER TABLE faults DROP KEY faults_ended',
    'DO 0');
PREPARE change_faults FROM @change;
EXECUTE change_faults;
DEALLOCATE PREPARE change_faults;
