-- The same tables as for MySQL, where they are explained.

-- +goose Up

CREATE TABLE losses (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    file_id    INTEGER NOT NULL,
    content_id INTEGER NOT NULL,
    lost       INTEGER NOT NULL,
    restored   INTEGER NOT NULL
);
CREATE INDEX losses_lost ON losses (lost);
CREATE INDEX losses_content ON losses (content_id, restored);
CREATE INDEX losses_restored ON losses (restored, lost);
CREATE TABLE copy_hours (
    start        INTEGER NOT NULL PRIMARY KEY,
    at           INTEGER NOT NULL,
    files        INTEGER NOT NULL,
    below_target INTEGER NOT NULL,
    copies       INTEGER NOT NULL,
    copy_seconds INTEGER NOT NULL,
    lost         INTEGER NOT NULL,
    repaired     INTEGER NOT NULL
);

-- +goose Down

DROP TABLE copy_hours;
DROP TABLE losses;
