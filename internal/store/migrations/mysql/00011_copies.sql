-- Files that several farmers hold.
--
-- contents has a row for each file of which there may be several copies. A copy is a
-- row in files with its own encoding, and has its own chunk and then its own contract.
-- live is the number of its live contracts, renew is how many of them are completed and can
-- be renewed, waiting is 1 if a chunk of it waits in the inventory, and lost is the time
-- when a contract last ended. There is no row for a file
-- that was encoded with a redundancy of 1.
--
-- reservations.content_id is the file that the reserved chunk is a copy of, or 0.
-- chunks.need is 0 for a file without a row in contents. Otherwise chunks with a larger
-- need are handed out first. Older API replicas ignore it.
--
-- MySQL has no ADD COLUMN IF NOT EXISTS, so the statements are composed.

-- +goose Up

CREATE TABLE IF NOT EXISTS contents (
    id      BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
    hash    BINARY(32)   NOT NULL UNIQUE,
    seed    VARCHAR(255) NOT NULL,
    size    BIGINT       NOT NULL,
    key_id  BIGINT       NOT NULL,
    live    INT          NOT NULL,
    renew   INT          NOT NULL DEFAULT 0,
    waiting BOOLEAN      NOT NULL,
    lost    BIGINT       NOT NULL,
    KEY contents_missing (key_id, waiting, renew, live, lost, size) -- the stocker looks for completed contracts, and for files with too few copies
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

SET @change = IF((SELECT COUNT(*) FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'reservations' AND column_name = 'content_id') = 0,
    'ALTER TABLE reservations ADD COLUMN content_id BIGINT NOT NULL DEFAULT 0',
    'DO 0');
PREPARE change_reservations FROM @change;
EXECUTE change_reservations;
DEALLOCATE PREPARE change_reservations;

SET @change = IF((SELECT COUNT(*) FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'chunks' AND column_name = 'need') = 0,
    'ALTER TABLE chunks ADD COLUMN need INT NOT NULL DEFAULT 0, DROP KEY chunks_key_size, ADD KEY chunks_key_size (key_id, size, need)',
    'DO 0');
PREPARE change_chunks FROM @change;
EXECUTE change_chunks;
DEALLOCATE PREPARE change_chunks;

-- +goose Down

SET @change = IF((SELECT COUNT(*) FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'chunks' AND column_name = 'need') > 0,
    'ALTER TABLE chunks DROP KEY chunks_key_size, DROP COLUMN need, ADD KEY chunks_key_size (key_id, size)',
    'DO 0');
PREPARE change_chunks FROM @change;
EXECUTE change_chunks;
DEALLOCATE PREPARE change_chunks;

SET @change = IF((SELECT COUNT(*) FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'reservations' AND column_name = 'content_id') > 0,
    'ALTER TABLE reservations DROP COLUMN content_id',
    'DO 0');
PREPARE change_reservations FROM @change;
EXECUTE change_reservations;
DEALLOCATE PREPARE change_reservations;

DROP TABLE IF EXISTS contents;
