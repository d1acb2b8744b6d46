-- Raw objects, their versions, and what could not be used.

CREATE TABLE objects (
    object_id  INTEGER PRIMARY KEY,
    root       TEXT NOT NULL,
    key        TEXT NOT NULL,
    dataset    TEXT,                 -- NULL while no pattern matches
    tenant_id  TEXT,
    version    INTEGER NOT NULL,     -- the newest
    size       INTEGER NOT NULL,     -- of the newest, bytes
    mtime_ns   INTEGER NOT NULL,     -- of the newest
    seen_at    TEXT NOT NULL,
    removed_at TEXT,                 -- the raw file is gone; its rows stay
    UNIQUE (root, key)
) STRICT;

CREATE TABLE versions (
    object_id INTEGER NOT NULL REFERENCES objects,
    version   INTEGER NOT NULL,
    size      INTEGER NOT NULL,
    mtime_ns  INTEGER NOT NULL,
    seen_at   TEXT NOT NULL,
    sha256    TEXT,                  -- NULL until it was read
    rules_hash TEXT,                 -- of the dataset and transforms it was last read or loaded by
    loaded_at TEXT,                  -- NULL until its rows were in the lake
    PRIMARY KEY (object_id, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE quarantine (
    quarantine_id INTEGER PRIMARY KEY,
    object_id  INTEGER NOT NULL REFERENCES objects,
    version    INTEGER NOT NULL,
    stage      TEXT NOT NULL,        -- route, light, heavy or quality
    part       TEXT NOT NULL,        -- table or rule, where only a part of the object is meant
    reason     TEXT NOT NULL,
    hint       TEXT NOT NULL,
    line       INTEGER,              -- physical line in the raw file
    rows       INTEGER,              -- rows kept out; NULL means the whole object
    path       TEXT,                 -- where those rows are, relative to the workspace
    run_id     INTEGER,
    at         TEXT NOT NULL,
    resolved_at TEXT,                -- loaded, replaced or routed since
    UNIQUE (object_id, version, stage, part)
) STRICT;

CREATE INDEX quarantine_open ON quarantine (object_id) WHERE resolved_at IS NULL;
CREATE INDEX objects_unrouted ON objects (object_id) WHERE dataset IS NULL;
