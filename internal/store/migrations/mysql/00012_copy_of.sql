-- files.content_id is the row in contents that the file is a copy of, or 0. Copies of one
-- file have the same hash. A migration down needs a database without copies.

-- +goose Up

SET @change = IF((SELECT COUNT(*) FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'files' AND column_name = 'content_id') = 0,
    'ALTER TABLE files ADD COLUMN content_id BIGINT NOT NULL DEFAULT 0, DROP KEY hash, ADD KEY files_content (content_id)',
    'DO 0');
PREPARE change_files FROM @change;
EXECUTE change_files;
DEALLOCATE PREPARE change_files;

-- +goose Down

SET @change = IF((SELECT COUNT(*) FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'files' AND column_name = 'content_id') > 0,
    'ALTER TABLE files DROP KEY files_content, DROP COLUMN content_id, ADD UNIQUE KEY hash (hash)',
    'DO 0');
PREPARE change_files FROM @change;
EXECUTE change_files;
DEALLOCATE PREPARE change_files;
