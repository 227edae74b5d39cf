-- The same columns as for MySQL, where they are explained.

-- +goose Up

ALTER TABLE heartbeat_keys ADD COLUMN shared BOOLEAN NOT NULL DEFAULT 1;
ALTER TABLE heartbeat_keys ADD COLUMN successor INTEGER NOT NULL DEFAULT 0;
ALTER TABLE heartbeat_keys ADD COLUMN need INTEGER NOT NULL DEFAULT -1;
ALTER TABLE heartbeat_keys ADD COLUMN retired INTEGER NOT NULL DEFAULT 0;
ALTER TABLE heartbeat_keys ADD COLUMN compromised BOOLEAN NOT NULL DEFAULT 0;
ALTER TABLE processes ADD COLUMN key_ids TEXT NOT NULL DEFAULT '';

-- +goose Down

ALTER TABLE processes DROP COLUMN key_ids;
DELETE FROM heartbeat_keys WHERE retired > 0;
ALTER TABLE heartbeat_keys DROP COLUMN shared;
ALTER TABLE heartbeat_keys DROP COLUMN successor;
ALTER TABLE heartbeat_keys DROP COLUMN need;
ALTER TABLE heartbeat_keys DROP COLUMN retired;
ALTER TABLE heartbeat_keys DROP COLUMN compromised;
