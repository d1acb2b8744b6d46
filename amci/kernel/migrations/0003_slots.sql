-- A run may keep its slot while it waits, as for an execution that runs in AMC; pools may share a larger one.

ALTER TABLE runs ADD COLUMN holds_slot INTEGER NOT NULL DEFAULT 0 CHECK (holds_slot IN (0, 1));
UPDATE runs SET holds_slot = 1 WHERE status = 'RUNNING' AND pool <> '';

DROP INDEX runs_running_by_pool;
CREATE INDEX runs_in_slots ON runs (pool) WHERE holds_slot = 1;

ALTER TABLE pools ADD COLUMN parent TEXT NOT NULL DEFAULT '';  -- the larger pool; '' means none
CREATE INDEX pools_by_parent ON pools (parent);
