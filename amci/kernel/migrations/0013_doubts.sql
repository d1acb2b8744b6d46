-- What is doubtful in files that were read, and what the tables they belong to are used to.

CREATE TABLE doubts (
    doubt_id    INTEGER PRIMARY KEY,
    object_id   INTEGER NOT NULL REFERENCES objects,
    version     INTEGER NOT NULL,
    stage       TEXT NOT NULL,       -- light or heavy: who found it
    kind        TEXT NOT NULL,
    column_name TEXT NOT NULL,       -- that it is about; empty if it is about the whole file
    says        TEXT NOT NULL,
    hint        TEXT NOT NULL,
    line        INTEGER,             -- physical line in the raw file, or row
    at          TEXT NOT NULL,
    resolved_at TEXT,                -- accepted by somebody, or replaced by a newer version
    UNIQUE (object_id, version, stage, kind, column_name)
) STRICT;

CREATE INDEX doubts_open ON doubts (object_id) WHERE resolved_at IS NULL;

CREATE TABLE table_shapes (
    schema_name TEXT NOT NULL,
    table_name  TEXT NOT NULL,
    columns     TEXT NOT NULL,       -- JSON: column to type, of the columns that files bring
    objects     INTEGER NOT NULL,    -- loaded so far
    usual_rows  REAL NOT NULL,       -- of an object; the newer count more
    PRIMARY KEY (schema_name, table_name)
) STRICT, WITHOUT ROWID;
