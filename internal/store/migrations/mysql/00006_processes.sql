-- Each process updates its own row every few seconds. If the row then does not
-- contain what the process wrote last, the database was set back to an earlier state. The
-- sweeper deletes the rows of processes that have ended.

-- +goose Up

CREATE TABLE IF NOT EXISTS processes (
    name VARCHAR(128) NOT NULL PRIMARY KEY,
    kind VARCHAR(32)  NOT NULL, -- api, worker, standalone or command
    seen BIGINT       NOT NULL  -- the database's clock, in microseconds since the Unix epoch
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- +goose Down

DROP TABLE IF EXISTS processes;
