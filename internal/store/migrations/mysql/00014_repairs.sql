-- Statistics of files that several farmers hold. With a redundancy of 1, nothing is
-- written to these tables.
--
-- losses has a row for each copy that was lost. lost is the time when its contract
-- ended, and restored is the time when another copy of the file was handed out in its
-- place, or 0. If a late verdict restores the contract, the row is deleted. The sweeper
-- deletes rows after seven days.
--
-- copy_hours has a row for each hour, with what the last look at the copies in this hour
-- has found. at is the time of that look. files is the number of files that farmers hold,
-- below_target is how many of them have too few proved copies, and copies is the number
-- of live copies. copy_seconds sums how long copies were live between the looks. lost and
-- repaired are the copies that were lost, and lost ones that were replaced, in the 24
-- hours before at.

-- +goose Up

CREATE TABLE IF NOT EXISTS losses (
    id         BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    file_id    BIGINT NOT NULL,
    content_id BIGINT NOT NULL,
    lost       BIGINT NOT NULL,
    restored   BIGINT NOT NULL,
    KEY losses_lost (lost),
    KEY losses_content (content_id, restored), -- a hand-out looks for open losses of a file
    KEY losses_restored (restored, lost)       -- the repairs of a day, with their times
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS copy_hours (
    start        BIGINT NOT NULL PRIMARY KEY,
    at           BIGINT NOT NULL,
    files        BIGINT NOT NULL,
    below_target BIGINT NOT NULL,
    copies       BIGINT NOT NULL,
    copy_seconds BIGINT NOT NULL,
    lost         BIGINT NOT NULL,
    repaired     BIGINT NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- +goose Down

DROP TABLE IF EXISTS copy_hours;
DROP TABLE IF EXISTS losses;
