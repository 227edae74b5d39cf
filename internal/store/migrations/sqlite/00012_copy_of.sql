-- The same change as for MySQL, where it is explained. SQLite cannot drop the index of
-- UNIQUE, so the table is made again. While other tables refer to it, that needs
-- foreign_keys off, which SQLite ignores in a transaction. If the process dies after COMMIT,
-- the migration runs again, before any file has a content_id.

-- +goose NO TRANSACTION
-- +goose Up

PRAGMA foreign_keys = OFF;
BEGIN IMMEDIATE;
CREATE TABLE files_new (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    hash       BLOB    NOT NULL,
    seed       TEXT    NOT NULL,
    size       INTEGER NOT NULL,
    key_id     INTEGER NOT NULL,
    tag_size   INTEGER NOT NULL,
    redundancy INTEGER NOT NULL DEFAULT 1,
    content_id INTEGER NOT NULL DEFAULT 0
);
INSERT INTO files_new (id, hash, seed, size, key_id, tag_size, redundancy)
    SELECT id, hash, seed, size, key_id, tag_size, redundancy FROM files;
DROP TABLE files;
ALTER TABLE files_new RENAME TO files;
CREATE INDEX files_content ON files (content_id);
COMMIT;
PRAGMA foreign_keys = ON;

-- +goose Down

PRAGMA foreign_keys = OFF;
BEGIN IMMEDIATE;
CREATE TABLE files_new (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    hash       BLOB    NOT NULL UNIQUE,
    seed       TEXT    NOT NULL,
    size       INTEGER NOT NULL,
    key_id     INTEGER NOT NULL,
    tag_size   INTEGER NOT NULL,
    redundancy INTEGER NOT NULL DEFAULT 1
);
INSERT INTO files_new (id, hash, seed, size, key_id, tag_size, redundancy)
    SELECT id, hash, seed, size, key_id, tag_size, redundancy FROM files;
DROP TABLE files;
ALTER TABLE files_new RENAME TO files;
COMMIT;
PRAGMA foreign_keys = ON;
