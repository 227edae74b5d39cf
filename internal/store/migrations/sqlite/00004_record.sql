-- The same tables as for MySQL, where their comments are.

-- +goose Up

CREATE TABLE spans (
    step       INTEGER NOT NULL,
    start      INTEGER NOT NULL,
    shard      INTEGER NOT NULL,
    farmers    INTEGER NOT NULL,
    online     INTEGER NOT NULL,
    contracts  INTEGER NOT NULL,
    size       INTEGER NOT NULL,
    heartbeats INTEGER NOT NULL,
    wrong      INTEGER NOT NULL,
    expired    INTEGER NOT NULL,
    PRIMARY KEY (step, start, shard)
) WITHOUT ROWID;

DROP TABLE history;

CREATE TABLE farmer_days (
    token_id   INTEGER NOT NULL,
    day        INTEGER NOT NULL,
    online     INTEGER NOT NULL,
    heartbeats INTEGER NOT NULL,
    wrong      INTEGER NOT NULL,
    contracts  INTEGER NOT NULL,
    size       INTEGER NOT NULL,
    PRIMARY KEY (token_id, day),
    CONSTRAINT farmer_days_token_fk FOREIGN KEY (token_id) REFERENCES tokens (id)
) WITHOUT ROWID;
CREATE INDEX farmer_days_day ON farmer_days (day);

ALTER TABLE tokens ADD COLUMN day INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tokens ADD COLUMN day_heartbeats INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tokens ADD COLUMN day_wrong INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tokens ADD COLUMN day_online INTEGER NOT NULL DEFAULT 0;

-- +goose Down

ALTER TABLE tokens DROP COLUMN day_online;
ALTER TABLE tokens DROP COLUMN day_wrong;
ALTER TABLE tokens DROP COLUMN day_heartbeats;
ALTER TABLE tokens DROP COLUMN day;
DROP TABLE farmer_days;
DROP TABLE spans;
CREATE TABLE history (
    hour           INTEGER NOT NULL PRIMARY KEY,
    farmers_online INTEGER NOT NULL,
    contracts      INTEGER NOT NULL,
    size           INTEGER NOT NULL,
    heartbeats     INTEGER NOT NULL,
    wrong          INTEGER NOT NULL,
    expired        INTEGER NOT NULL
);
