-- Keys of runs that were forgotten: they stay unique for ever. Only such runs, and none that is open, can be deleted.

CREATE TABLE spent_keys (
    idempotency_key TEXT PRIMARY KEY,
    run_id          INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

DROP TRIGGER runs_for_ever;

CREATE TRIGGER runs_for_ever BEFORE DELETE ON runs
WHEN OLD.status IN ('PENDING', 'RUNNING')
  OR NOT EXISTS (SELECT 1 FROM spent_keys WHERE idempotency_key = OLD.idempotency_key)
BEGIN SELECT RAISE(ABORT, 'runs are never deleted before their keys are kept: these are unique for ever'); END;
