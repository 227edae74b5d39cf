-- The same column as for MySQL, where it is explained.

-- +goose Up

ALTER TABLE faults ADD COLUMN declared BOOLEAN NOT NULL DEFAULT FALSE;

-- +goose Down

ALTER TABLE faults DROP COLUMN declared;
