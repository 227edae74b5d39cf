-- The same columns as for MySQL, where they are explained.

-- +goose Up

ALTER TABLE ips ADD COLUMN taken INTEGER NOT NULL DEFAULT 0;
ALTER TABLE addresses ADD COLUMN taken INTEGER NOT NULL DEFAULT 0;

-- +goose Down

ALTER TABLE addresses DROP COLUMN taken;
ALTER TABLE ips DROP COLUMN taken;
