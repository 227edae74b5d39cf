-- The same change as for MySQL, where it is explained.

-- +goose Up

ALTER TABLE contracts ADD COLUMN unproven INTEGER NOT NULL DEFAULT 0;
CREATE INDEX contracts_unproven ON contracts (token_id, unproven, live, size);
CREATE INDEX tokens_unused ON tokens (up_since, created);

-- +goose Down

DROP INDEX tokens_unused;
DROP INDEX contracts_unproven;
ALTER TABLE contracts DROP COLUMN unproven;
