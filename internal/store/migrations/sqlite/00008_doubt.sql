-- The same columns as for MySQL, where they are explained.

-- +goose Up

ALTER TABLE processes ADD COLUMN decided INTEGER NOT NULL DEFAULT 0;
ALTER TABLE processes ADD COLUMN undecided INTEGER NOT NULL DEFAULT 0;
ALTER TABLE processes ADD COLUMN failing_since INTEGER NOT NULL DEFAULT 0;
ALTER TABLE processes ADD COLUMN failing_until INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tokens ADD COLUMN returned INTEGER NOT NULL DEFAULT 0;
ALTER TABLE faults ADD COLUMN planned INTEGER NOT NULL DEFAULT 0;
ALTER TABLE faults ADD COLUMN silent INTEGER NOT NULL DEFAULT 0;
ALTER TABLE faults ADD COLUMN discarded BOOLEAN NOT NULL DEFAULT FALSE;

-- +goose Down

ALTER TABLE faults DROP COLUMN discarded;
ALTER TABLE faults DROP COLUMN silent;
ALTER TABLE faults DROP COLUMN planned;
ALTER TABLE tokens DROP COLUMN returned;
ALTER TABLE processes DROP COLUMN failing_until;
ALTER TABLE processes DROP COLUMN failing_since;
ALTER TABLE processes DROP COLUMN undecided;
ALTER TABLE processes DROP COLUMN decided;
