-- The same columns and table as for MySQL, where they are explained.

-- +goose Up

ALTER TABLE tokens ADD COLUMN evidence BLOB NOT NULL DEFAULT x'';
ALTER TABLE tokens ADD COLUMN proven_since INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tokens ADD COLUMN last_heartbeat INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tokens ADD COLUMN suspended INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tokens ADD COLUMN suspended_by TEXT NOT NULL DEFAULT '';
ALTER TABLE tokens ADD COLUMN suspended_reason TEXT NOT NULL DEFAULT '';
ALTER TABLE tokens ADD COLUMN events INTEGER NOT NULL DEFAULT 0;
UPDATE tokens SET proven_since = created WHERE heartbeats > 0;
ALTER TABLE contracts ADD COLUMN completed BOOLEAN NOT NULL DEFAULT FALSE;

CREATE TABLE farmer_events (
    token_id  INTEGER NOT NULL,
    place     INTEGER NOT NULL,
    number    INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    kind      TEXT    NOT NULL,
    file_hash BLOB,
    fault_id  INTEGER NOT NULL,
    detail    TEXT    NOT NULL,
    PRIMARY KEY (token_id, place)
) WITHOUT ROWID;

-- +goose Down

DROP TABLE farmer_events;
ALTER TABLE contracts DROP COLUMN completed;
ALTER TABLE tokens DROP COLUMN events;
ALTER TABLE tokens DROP COLUMN suspended_reason;
ALTER TABLE tokens DROP COLUMN suspended_by;
ALTER TABLE tokens DROP COLUMN suspended;
ALTER TABLE tokens DROP COLUMN last_heartbeat;
ALTER TABLE tokens DROP COLUMN proven_since;
ALTER TABLE tokens DROP COLUMN evidence;
