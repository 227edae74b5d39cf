-- The same index as for MySQL, where it is explained.

-- +goose Up

CREATE INDEX faults_ended ON faults (ended);

-- +goose Down

DROP INDEX faults_ended;
