-- A fire at a local time that did not exist stands in the history, too. SQLite changes no CHECK: the table is made again.

CREATE TABLE fires_again (
    schedule_id     TEXT NOT NULL,
    fire_time       TEXT NOT NULL,
    decision        TEXT NOT NULL CHECK (
        decision IN ('created', 'skipped_overlap', 'missed', 'by_hand', 'no_such_time')),
    idempotency_key TEXT,            -- of its run; NULL where it got none
    at              TEXT NOT NULL,   -- when it was decided
    PRIMARY KEY (schedule_id, fire_time, decision)
) STRICT, WITHOUT ROWID;

INSERT INTO fires_again SELECT schedule_id, fire_time, decision, idempotency_key, at FROM fires;
DROP TABLE fires;
ALTER TABLE fires_again RENAME TO fires;
