-- What a farmer's slots say about it, and what happened to it.
--
-- tokens.evidence is the encoding of node.Evidence. proven_since is the time of the first
-- accepted proof, and last_heartbeat that of the last one. For farmers that have proofs already,
-- proven_since becomes the time of the token's creation.
-- suspended is since when the farmer gets no contracts (0 if it gets some), suspended_by
-- is who suspended it (node.Suspender), and events is the number of its events so far.
-- contracts.completed marks a contract whose challenges have all been issued.
--
-- farmer_events holds the last events of a farmer. The row of event n has the place
-- n modulo 100, so that a later event replaces it.
--
-- MySQL has no ADD COLUMN IF NOT EXISTS, so the statements are composed.

-- +goose Up

SET @change = IF((SELECT COUNT(*) FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'tokens' AND column_name = 'evidence') = 0,
    'ALTER TABLE tokens ADD COLUMN evidence VARBINARY(96) NOT NULL DEFAULT '''', ADD COLUMN proven_since BIGINT NOT NULL DEFAULT 0, ADD COLUMN last_heartbeat BIGINT NOT NULL DEFAULT 0, ADD COLUMN suspended BIGINT NOT NULL DEFAULT 0, ADD COLUMN suspended_by VARCHAR(16) NOT NULL DEFAULT '''', ADD COLUMN suspended_reason VARCHAR(255) NOT NULL DEFAULT '''', ADD COLUMN events BIGINT NOT NULL DEFAULT 0',
    'DO 0');
PREPARE change_tokens FROM @change;
EXECUTE change_tokens;
DEALLOCATE PREPARE change_tokens;

UPDATE tokens SET proven_since = created WHERE heartbeats > 0 AND proven_since = 0;

SET @change = IF((SELECT COUNT(*) FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'contracts' AND column_name = 'completed') = 0,
    'ALTER TABLE contracts ADD COLUMN completed BOOLEAN NOT NULL DEFAULT FALSE',
    'DO 0');
PREPARE change_contracts FROM @change;
EXECUTE change_contracts;
DEALLOCATE PREPARE change_contracts;

CREATE TABLE IF NOT EXISTS farmer_events (
    token_id  BIGINT       NOT NULL,
    place     SMALLINT     NOT NULL,
    number    BIGINT       NOT NULL,
    at        BIGINT       NOT NULL,
    kind      VARCHAR(16)  NOT NULL,
    file_hash BINARY(32)   NULL,
    fault_id  BIGINT       NOT NULL,
    detail    VARCHAR(255) NOT NULL,
    PRIMARY KEY (token_id, place)
);

-- +goose Down

DROP TABLE IF EXISTS farmer_events;

SET @change = IF((SELECT COUNT(*) FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'contracts' AND column_name = 'completed') > 0,
    'ALTER TABLE contracts DROP COLUMN completed',
    'DO 0');
PREPARE change_contracts FROM @change;
EXECUTE change_contracts;
DEALLOCATE PREPARE change_contracts;

SET @change = IF((SELECT COUNT(*) FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'tokens' AND column_name = 'evidence') > 0,
    'ALTER TABLE tokens DROP COLUMN evidence, DROP COLUMN proven_since, DROP COLUMN last_heartbeat, DROP COLUMN suspended, DROP COLUMN suspended_by, DROP COLUMN suspended_reason, DROP COLUMN events',
    'DO 0');
PREPARE change_tokens FROM @change;
EXECUTE change_tokens;
DEALLOCATE PREPARE change_tokens;
