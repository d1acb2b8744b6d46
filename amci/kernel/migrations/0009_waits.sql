-- Every wait is stored with when it began: one that begins in the future was stored by a clock that was ahead.

ALTER TABLE runs ADD COLUMN leased_at TEXT;           -- when `lease_until` was granted
UPDATE runs SET leased_at = changed_at WHERE status = 'RUNNING';

ALTER TABLE executions ADD COLUMN deadline_from TEXT; -- when `deadline_at` was set
ALTER TABLE executions ADD COLUMN search_from TEXT;   -- what its request may have made was created since then

CREATE INDEX executions_by_deadline ON executions (deadline_from);
CREATE INDEX executions_by_change ON executions (changed_at);

-- When waits had to be corrected, for `amci status` and `amci doctor`.
CREATE TABLE clock_steps (
    step_id INTEGER PRIMARY KEY,
    at      TEXT NOT NULL,                            -- by the clock as it was put right
    ahead   REAL NOT NULL,                            -- seconds that the furthest of them began in the future
    waits   INTEGER NOT NULL
) STRICT;
