-- Circuits: which AMC instances do not answer, for `amci status` and for the next process.

CREATE TABLE circuits (
    instance_id TEXT PRIMARY KEY,
    state       TEXT NOT NULL CHECK (state IN ('CLOSED', 'OPEN', 'HALF_OPEN')),
    failures    INTEGER NOT NULL,            -- in a row, when it changed
    opened_at   TEXT,
    retry_at    TEXT,                        -- when one request may try again
    reason      TEXT NOT NULL,               -- of the last failure
    changed_at  TEXT NOT NULL
) STRICT;
