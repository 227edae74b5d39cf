-- The same tables as for MySQL, where their comments are.
-- Times are INTEGER microseconds since the Unix epoch, UTC; 0 is "never".
-- Spans are INTEGER microseconds, sizes INTEGER bytes.

-- +goose Up

CREATE TABLE settings (
    name  TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
);

CREATE TABLE heartbeat_keys (
    id          INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    fingerprint TEXT    NOT NULL UNIQUE,
    type        TEXT    NOT NULL,
    created     INTEGER NOT NULL
);

CREATE TABLE addresses (
    id          INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    address     TEXT    NOT NULL UNIQUE,
    whitelisted INTEGER NOT NULL DEFAULT 0,
    balance     INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE ips (
    ip TEXT NOT NULL PRIMARY KEY
);

CREATE TABLE tokens (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    hash       BLOB    NOT NULL UNIQUE,
    farmer_id  TEXT    NOT NULL UNIQUE,
    address_id INTEGER NOT NULL,
    key_id     INTEGER NOT NULL,
    ip         TEXT    NOT NULL,
    country    TEXT    NULL,
    state      TEXT    NULL,
    city       TEXT    NULL,
    zip        TEXT    NULL,
    lat        REAL    NULL,
    lon        REAL    NULL,
    heartbeats INTEGER NOT NULL DEFAULT 0,
    wrong      INTEGER NOT NULL DEFAULT 0,
    expired    INTEGER NOT NULL DEFAULT 0,
    contracts  INTEGER NOT NULL DEFAULT 0,
    size       INTEGER NOT NULL DEFAULT 0,
    up_since   INTEGER NOT NULL DEFAULT 0,
    up_start   INTEGER NOT NULL DEFAULT 0,
    up_end     INTEGER NOT NULL DEFAULT 0,
    up_before  INTEGER NOT NULL DEFAULT 0,
    last_due   INTEGER NOT NULL DEFAULT 0,
    created    INTEGER NOT NULL,
    CONSTRAINT tokens_address_fk FOREIGN KEY (address_id) REFERENCES addresses (id)
);
CREATE INDEX tokens_address ON tokens (address_id);
CREATE INDEX tokens_ip ON tokens (ip);
CREATE INDEX tokens_up_end ON tokens (up_end);

CREATE TABLE files (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    hash       BLOB    NOT NULL UNIQUE,
    seed       TEXT    NOT NULL,
    size       INTEGER NOT NULL,
    key_id     INTEGER NOT NULL,
    tag_size   INTEGER NOT NULL,
    redundancy INTEGER NOT NULL DEFAULT 1
);

CREATE TABLE reservations (
    id          INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    key_id      INTEGER NOT NULL,
    size        INTEGER NOT NULL,
    lease_until INTEGER NOT NULL
);

CREATE TABLE chunks (
    id        INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    file_id   INTEGER NOT NULL UNIQUE,
    key_id    INTEGER NOT NULL,
    size      INTEGER NOT NULL,
    challenge BLOB    NOT NULL,
    state     BLOB    NOT NULL,
    created   INTEGER NOT NULL,
    CONSTRAINT chunks_file_fk FOREIGN KEY (file_id) REFERENCES files (id)
);
CREATE INDEX chunks_key_size ON chunks (key_id, size);

CREATE TABLE tags (
    file_id INTEGER NOT NULL,
    part    INTEGER NOT NULL,
    content BLOB    NOT NULL,
    PRIMARY KEY (file_id, part),
    CONSTRAINT tags_file_fk FOREIGN KEY (file_id) REFERENCES files (id)
);

CREATE TABLE contracts (
    id        INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    token_id  INTEGER NOT NULL,
    file_id   INTEGER NOT NULL,
    file_hash BLOB    NOT NULL,
    key_id    INTEGER NOT NULL,
    size      INTEGER NOT NULL,
    period    INTEGER NOT NULL,
    version   INTEGER NOT NULL,
    sequence  INTEGER NOT NULL,
    challenge BLOB    NOT NULL,
    state     BLOB    NOT NULL,
    due       INTEGER NOT NULL,
    answered  INTEGER NOT NULL,
    accepted  BLOB    NULL,
    wrong     BLOB    NOT NULL,
    expiry    INTEGER NOT NULL,
    live      INTEGER NOT NULL,
    CONSTRAINT contracts_token_fk FOREIGN KEY (token_id) REFERENCES tokens (id),
    CONSTRAINT contracts_file_fk FOREIGN KEY (file_id) REFERENCES files (id)
);
CREATE UNIQUE INDEX contracts_token_file ON contracts (token_id, file_hash);
CREATE INDEX contracts_live_expiry ON contracts (live, expiry);
CREATE INDEX contracts_file ON contracts (file_id);

CREATE TABLE history (
    hour           INTEGER NOT NULL PRIMARY KEY,
    farmers_online INTEGER NOT NULL,
    contracts      INTEGER NOT NULL,
    size           INTEGER NOT NULL,
    heartbeats     INTEGER NOT NULL,
    wrong          INTEGER NOT NULL,
    expired        INTEGER NOT NULL
);

-- +goose Down

DROP TABLE history;
DROP TABLE contracts;
DROP TABLE tags;
DROP TABLE chunks;
DROP TABLE reservations;
DROP TABLE files;
DROP TABLE tokens;
DROP TABLE ips;
DROP TABLE addresses;
DROP TABLE heartbeat_keys;
DROP TABLE settings;
