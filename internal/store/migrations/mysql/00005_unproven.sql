-- contracts.unproven is 1 for a contract whose first proof was not accepted yet. Its
-- index finds these contracts of a token without reading the others. Contracts that
-- exist now count as proved: each one has its first proof, or has expired, within an
-- interval. The same holds for contracts that older API replicas hand out.
--
-- The index of tokens finds the tokens that never had a contract.
--
-- The column and its index are added by two statements, because the first one alone
-- does not rebuild the table. MySQL has no ADD COLUMN IF NOT EXISTS, so the
-- statements are composed.

-- +goose Up

SET @change = IF((SELECT COUNT(*) FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'contracts' AND column_name = 'unproven') = 0,
    'ALTER TABLE contracts ADD COLUMN unproven BOOLEAN NOT NULL DEFAULT FALSE',
    'DO 0');
PREPARE change_contracts FROM @change;
EXECUTE change_contracts;
DEALLOCATE PREPARE change_contracts;

SET @change = IF((SELECT COUNT(*) FROM information_schema.statistics
    WHERE table_schema = DATABASE() AND table_name = 'contracts' AND index_name = 'contracts_unproven') = 0,
    'ALTER TABLE contracts ADD KEY contracts_unproven (token_id, unproven, live, size)',
    'DO 0');
PREPARE change_contracts FROM @change;
EXECUTE change_contracts;
DEALLOCATE PREPARE change_contracts;

SET @change = IF((SELECT COUNT(*) FROM information_schema.statistics
    WHERE table_schema = DATABASE() AND table_name = 'tokens' AND index_name = 'tokens_unused') = 0,
    'ALTER TABLE tokens ADD KEY tokens_unused (up_since, created)',
    'DO 0');
PREPARE change_tokens FROM @change;
EXECUTE change_tokens;
DEALLOCATE PREPARE change_tokens;

-- +goose Down

SET @change = IF((SELECT COUNT(*) FROM information_schema.statistics
    WHERE table_schema = DATABASE() AND table_name = 'tokens' AND index_name = 'tokens_unused') > 0,
    'ALTER TABLE tokens DROP KEY tokens_unused',
    'DO 0');
PREPARE change_tokens FROM @change;
EXECUTE change_tokens;
DEALLOCATE PREPARE change_tokens;

SET @change = IF((SELECT COUNT(*) FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'contracts' AND column_name = 'unproven') > 0,
    'ALTER TABLE contracts DROP KEY contracts_unproven, DROP COLUMN unproven',
    'DO 0');
PREPARE change_contracts FROM @change;
EXECUTE change_contracts;
DEALLOCATE PREPARE change_contracts;
