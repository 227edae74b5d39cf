-- The same table as for MySQL, where it is explained.

-- +goose Up

CREATE TABLE acts (
    id     INTEGER PRIMARY KEY,
    at     INTEGER NOT NULL,
    who    TEXT    NOT NULL,
    what   TEXT    NOT NULL,
    logged INTEGER NOT NULL
);
CREATE INDEX acts_logged ON acts (logged);

-- +goose Down

DROP TABLE acts;
