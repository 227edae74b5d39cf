-- What administrators did with commands. logged is 0 until a worker has written the act to
-- its log.

-- +goose Up

CREATE TABLE IF NOT EXISTS acts (
    id     BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
    at     BIGINT       NOT NULL, -- the database's clock, in microseconds since the Unix epoch
    who    VARCHAR(128) NOT NULL,
    what   VARCHAR(512) NOT NULL,
    logged TINYINT      NOT NULL,
    KEY acts_logged (logged)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- +goose Down

DROP TABLE IF EXISTS acts;
