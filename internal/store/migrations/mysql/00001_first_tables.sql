-- Times are BIGINT microseconds since the Unix epoch, UTC; 0 is "never".
-- Spans are BIGINT microseconds, sizes BIGINT bytes.
--
-- MySQL commits each statement of a migration by itself: IF [NOT] EXISTS makes
-- one that was cut short good to run again.

-- +goose Up

CREATE TABLE IF NOT EXISTS settings (
    name  VARCHAR(64)     NOT NULL PRIMARY KEY,
    value VARBINARY(1024) NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS heartbeat_keys (
    id          BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
    fingerprint VARCHAR(128) NOT NULL UNIQUE,
    type        VARCHAR(16)  NOT NULL,
    created     BIGINT       NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- The row is what hand-outs to one address lock, so that they see each other.
CREATE TABLE IF NOT EXISTS addresses (
    id          BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
    address     VARCHAR(128) NOT NULL UNIQUE, -- as long as any that base58check decodes here
    whitelisted BOOLEAN      NOT NULL DEFAULT FALSE,
    balance     BIGINT       NOT NULL DEFAULT 0
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- One row an IP address that ever held a token: what token creations lock.
CREATE TABLE IF NOT EXISTS ips (
    ip VARCHAR(45) NOT NULL PRIMARY KEY
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- contracts and size count the token's rows in contracts that are live;
-- heartbeats, wrong and expired count from the token's creation on.
CREATE TABLE IF NOT EXISTS tokens (
    id         BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
    hash       BINARY(32)   NOT NULL UNIQUE, -- every request of a farmer finds its token by this
    farmer_id  CHAR(20)     NOT NULL UNIQUE, -- the status pages find it by this
    address_id BIGINT       NOT NULL,
    key_id     BIGINT       NOT NULL,
    ip         VARCHAR(45)  NOT NULL,
    country    VARCHAR(128) NULL,
    state      VARCHAR(128) NULL,
    city       VARCHAR(128) NULL,
    zip        VARCHAR(32)  NULL,
    lat        DOUBLE       NULL,
    lon        DOUBLE       NULL,
    heartbeats BIGINT       NOT NULL DEFAULT 0,
    wrong      BIGINT       NOT NULL DEFAULT 0,
    expired    BIGINT       NOT NULL DEFAULT 0,
    contracts  BIGINT       NOT NULL DEFAULT 0,
    size       BIGINT       NOT NULL DEFAULT 0,
    up_since   BIGINT       NOT NULL DEFAULT 0,
    up_start   BIGINT       NOT NULL DEFAULT 0,
    up_end     BIGINT       NOT NULL DEFAULT 0,
    up_before  BIGINT       NOT NULL DEFAULT 0,
    last_due   BIGINT       NOT NULL DEFAULT 0,
    created    BIGINT       NOT NULL,
    KEY tokens_address (address_id), -- the size limit adds up an address's tokens
    KEY tokens_ip (ip),              -- the limit of tokens per IP address counts them
    KEY tokens_up_end (up_end),      -- the status list of who is online
    CONSTRAINT tokens_address_fk FOREIGN KEY (address_id) REFERENCES addresses (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS files (
    id         BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
    hash       BINARY(32)   NOT NULL UNIQUE, -- a file is encoded once
    seed       VARCHAR(255) NOT NULL,
    size       BIGINT       NOT NULL,
    key_id     BIGINT       NOT NULL,
    tag_size   BIGINT       NOT NULL,
    redundancy INT          NOT NULL DEFAULT 1
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS reservations (
    id          BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    key_id      BIGINT NOT NULL,
    size        BIGINT NOT NULL,
    lease_until BIGINT NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS chunks (
    id        BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    file_id   BIGINT NOT NULL UNIQUE, -- one chunk a file
    key_id    BIGINT NOT NULL,
    size      BIGINT NOT NULL,
    challenge BLOB   NOT NULL,
    state     BLOB   NOT NULL,
    created   BIGINT NOT NULL,
    KEY chunks_key_size (key_id, size), -- hand-out takes the largest that fit; the inventory counts by size
    CONSTRAINT chunks_file_fk FOREIGN KEY (file_id) REFERENCES files (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- A tag is cut into parts of at most 1 MiB, so that no row comes near
-- max_allowed_packet, whatever the server's setting is.
CREATE TABLE IF NOT EXISTS tags (
    file_id BIGINT     NOT NULL,
    part    INT        NOT NULL,
    content MEDIUMBLOB NOT NULL,
    PRIMARY KEY (file_id, part),
    CONSTRAINT tags_file_fk FOREIGN KEY (file_id) REFERENCES files (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- expiry repeats what due, answered and period say, and live what the sweeper
-- made of it, so that it finds its work by an index.
CREATE TABLE IF NOT EXISTS contracts (
    id        BIGINT          NOT NULL AUTO_INCREMENT PRIMARY KEY,
    token_id  BIGINT          NOT NULL,
    file_id   BIGINT          NOT NULL,
    file_hash BINARY(32)      NOT NULL,
    key_id    BIGINT          NOT NULL,
    size      BIGINT          NOT NULL,
    period    BIGINT          NOT NULL, -- the interval, a word that SQL keeps for itself
    version   BIGINT          NOT NULL,
    sequence  BIGINT          NOT NULL,
    challenge BLOB            NOT NULL,
    state     BLOB            NOT NULL,
    due       BIGINT          NOT NULL,
    answered  BOOLEAN         NOT NULL,
    accepted  BINARY(16)      NULL,
    wrong     VARBINARY(4096) NOT NULL, -- digests of 16 bytes
    expiry    BIGINT          NOT NULL,
    live      BOOLEAN         NOT NULL,
    UNIQUE KEY contracts_token_file (token_id, file_hash), -- a farmer names its contract so
    KEY contracts_live_expiry (live, expiry),              -- the sweeper: live and past; over and old
    KEY contracts_file (file_id),                          -- which files and tags are still needed
    CONSTRAINT contracts_token_fk FOREIGN KEY (token_id) REFERENCES tokens (id),
    CONSTRAINT contracts_file_fk FOREIGN KEY (file_id) REFERENCES files (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- hour is its start. The totals are those at the moment of recording;
-- heartbeats, wrong and expired are running ones, a plot takes differences.
CREATE TABLE IF NOT EXISTS history (
    hour           BIGINT NOT NULL PRIMARY KEY,
    farmers_online BIGINT NOT NULL,
    contracts      BIGINT NOT NULL,
    size           BIGINT NOT NULL,
    heartbeats     BIGINT NOT NULL,
    wrong          BIGINT NOT NULL,
    expired        BIGINT NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- +goose Down

DROP TABLE IF EXISTS history;
DROP TABLE IF EXISTS contracts;
DROP TABLE IF EXISTS tags;
DROP TABLE IF EXISTS chunks;
DROP TABLE IF EXISTS reservations;
DROP TABLE IF EXISTS files;
DROP TABLE IF EXISTS tokens;
DROP TABLE IF EXISTS ips;
DROP TABLE IF EXISTS addresses;
DROP TABLE IF EXISTS heartbeat_keys;
DROP TABLE IF EXISTS settings;
