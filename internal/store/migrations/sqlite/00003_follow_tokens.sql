-- The same change as for MySQL, where it is explained.

-- +goose Up

ALTER TABLE tokens ADD COLUMN changed INTEGER NOT NULL DEFAULT 0;
CREATE INDEX tokens_changed ON tokens (changed);
DROP INDEX tokens_up_end;

CREATE TABLE departures (
    farmer_id TEXT    NOT NULL PRIMARY KEY,
    changed   INTEGER NOT NULL
);
CREATE INDEX departures_changed ON departures (changed);

DROP INDEX contracts_live_expiry;
CREATE INDEX contracts_live_expiry ON contracts (live, expiry, token_id, size);

CREATE TABLE orphans (
    id      INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    file_id INTEGER NOT NULL
);

INSERT INTO orphans (file_id) SELECT f.id FROM files f WHERE NOT EXISTS (SELECT 1 FROM chunks c WHERE c.file_id = f.id)
    AND NOT EXISTS (SELECT 1 FROM contracts c WHERE c.file_id = f.id);

-- +goose Down

DROP TABLE orphans;

DROP INDEX contracts_live_expiry;
CREATE INDEX contracts_live_expiry ON contracts (live, expiry);

DROP TABLE departures;

DROP INDEX tokens_changed;
ALTER TABLE tokens DROP COLUMN changed;
CREATE INDEX tokens_up_end ON tokens (up_end);
