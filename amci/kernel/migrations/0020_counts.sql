-- How many runs and objects there are, kept whenever one comes or changes: nothing counts millions of rows.

CREATE TABLE run_counts (
    kind   TEXT NOT NULL,
    status TEXT NOT NULL,
    runs   INTEGER NOT NULL,
    PRIMARY KEY (kind, status)
) STRICT, WITHOUT ROWID;

INSERT INTO run_counts SELECT kind, status, count(*) FROM runs GROUP BY kind, status;

CREATE TRIGGER run_counts_insert AFTER INSERT ON runs
BEGIN INSERT INTO run_counts (kind, status, runs) VALUES (NEW.kind, NEW.status, 1)
      ON CONFLICT (kind, status) DO UPDATE SET runs = runs + 1; END;

CREATE TRIGGER run_counts_move AFTER UPDATE OF status ON runs WHEN NEW.status <> OLD.status
BEGIN INSERT INTO run_counts (kind, status, runs) VALUES (NEW.kind, NEW.status, 1)
      ON CONFLICT (kind, status) DO UPDATE SET runs = runs + 1;
      UPDATE run_counts SET runs = runs - 1 WHERE kind = OLD.kind AND status = OLD.status; END;

CREATE TRIGGER run_counts_delete AFTER DELETE ON runs
BEGIN UPDATE run_counts SET runs = runs - 1 WHERE kind = OLD.kind AND status = OLD.status; END;

CREATE TABLE object_counts (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    objects INTEGER NOT NULL,
    removed INTEGER NOT NULL  -- of those, without their raw file
) STRICT;

INSERT INTO object_counts SELECT 1, count(*), count(removed_at) FROM objects;

CREATE TRIGGER object_counts_insert AFTER INSERT ON objects
BEGIN UPDATE object_counts SET objects = objects + 1, removed = removed + (NEW.removed_at IS NOT NULL); END;

CREATE TRIGGER object_counts_move AFTER UPDATE OF removed_at ON objects
WHEN (NEW.removed_at IS NULL) <> (OLD.removed_at IS NULL)
BEGIN UPDATE object_counts SET removed = removed + iif(NEW.removed_at IS NULL, -1, 1); END;

CREATE TRIGGER object_counts_delete AFTER DELETE ON objects
BEGIN UPDATE object_counts SET objects = objects - 1, removed = removed - (OLD.removed_at IS NOT NULL); END;
