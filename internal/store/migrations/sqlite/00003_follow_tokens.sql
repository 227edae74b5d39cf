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

-- +goose Down

DROP TABLE departures;

DROP INDEX tokens_changed;
ALTER TABLE tokens DROP COLUMN changed;
CREATE INDEX tokens_up_end ON tokens (up_end);
