-- The same table as for MySQL, where it is explained.

-- +goose Up

CREATE TABLE processes (
    name TEXT    NOT NULL PRIMARY KEY,
    kind TEXT    NOT NULL,
    seen INTEGER NOT NULL
) WITHOUT ROWID;

-- +goose Down

DROP TABLE processes;
