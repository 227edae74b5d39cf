-- The same table and columns as for MySQL, where they are explained.

-- +goose Up

CREATE TABLE faults (
    id            INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    start         INTEGER NOT NULL,
    ended         INTEGER NOT NULL DEFAULT 0,
    resume        INTEGER NOT NULL DEFAULT 0,
    cause         TEXT    NOT NULL,
    evidence      TEXT    NOT NULL,
    voided        INTEGER NOT NULL DEFAULT 0,
    next_contract INTEGER NOT NULL DEFAULT 0,
    next_token    INTEGER NOT NULL DEFAULT 0,
    applied       BOOLEAN NOT NULL DEFAULT FALSE
);
CREATE INDEX faults_resume ON faults (resume);
CREATE INDEX faults_applied ON faults (applied);
ALTER TABLE processes ADD COLUMN well_since INTEGER NOT NULL DEFAULT 0;
ALTER TABLE processes ADD COLUMN well INTEGER NOT NULL DEFAULT 0;
ALTER TABLE contracts ADD COLUMN fault_mark INTEGER NOT NULL DEFAULT 0;

-- +goose Down

ALTER TABLE contracts DROP COLUMN fault_mark;
ALTER TABLE processes DROP COLUMN well;
ALTER TABLE processes DROP COLUMN well_since;
DROP TABLE faults;
