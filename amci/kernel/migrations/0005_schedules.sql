-- Schedules as amci last saw them, and every fire with what became of it.

CREATE TABLE schedules (
    schedule_id TEXT PRIMARY KEY,
    definition  TEXT NOT NULL,       -- hash of what was configured; '' before it was seen
    changed_at  TEXT NOT NULL,       -- when that was first seen
    cursor_at   TEXT NOT NULL,       -- every fire up to here is decided
    is_active   INTEGER NOT NULL CHECK (is_active IN (0, 1)),  -- configured and enabled
    paused_at   TEXT                 -- NULL unless a person has paused it
) STRICT, WITHOUT ROWID;

-- A fire that was missed and then done by hand stands here twice.
CREATE TABLE fires (
    schedule_id     TEXT NOT NULL,
    fire_time       TEXT NOT NULL,
    decision        TEXT NOT NULL CHECK (decision IN ('created', 'skipped_overlap', 'missed', 'by_hand')),
    idempotency_key TEXT,            -- of its run; NULL where it got none
    at              TEXT NOT NULL,   -- when it was decided
    PRIMARY KEY (schedule_id, fire_time, decision)
) STRICT, WITHOUT ROWID;
