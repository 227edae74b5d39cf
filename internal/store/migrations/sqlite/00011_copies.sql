-- The same table and columns as for MySQL, where they are explained.

-- +goose Up

CREATE TABLE contents (
    id      INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    hash    BLOB    NOT NULL UNIQUE,
    seed    TEXT    NOT NULL,
    size    INTEGER NOT NULL,
    key_id  INTEGER NOT NULL,
    live    INTEGER NOT NULL,
    renew   INTEGER NOT NULL DEFAULT 0,
    waiting BOOLEAN NOT NULL,
    lost    INTEGER NOT NULL
);
CREATE INDEX contents_missing ON contents (key_id, waiting, renew, live, lost, size);
ALTER TABLE reservations ADD COLUMN content_id INTEGER NOT NULL DEFAULT 0;
ALTER TABLE chunks ADD COLUMN need INTEGER NOT NULL DEFAULT 0;
DROP INDEX chunks_key_size;
CREATE INDEX chunks_key_size ON chunks (key_id, size, need);

-- +goose Down

DROP INDEX chunks_key_size;
CREATE INDEX chunks_key_size ON chunks (key_id, size);
ALTER TABLE chunks DROP COLUMN need;
ALTER TABLE reservations DROP COLUMN content_id;
DROP TABLE contents;
