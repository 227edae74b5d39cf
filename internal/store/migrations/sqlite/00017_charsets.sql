-- The same indexes as for MySQL, where they are explained.

-- +goose Up

CREATE INDEX faults_ended ON faults (ended);
CREATE INDEX contents_started ON contents (key_id, waiting, live, size);

-- +goose Down

DROP INDEX contents_started;
DROP INDEX faults_ended;
