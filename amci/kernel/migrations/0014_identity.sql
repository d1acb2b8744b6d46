-- What tells a file from another that took its name, size and time, and which files bring the same rows.

ALTER TABLE objects ADD COLUMN inode INTEGER;         -- of the newest version's file; NULL if an older amci noted it
ALTER TABLE objects ADD COLUMN ctime_ns INTEGER;      -- likewise
ALTER TABLE objects ADD COLUMN checked_at TEXT;       -- when its content was last compared with what was read
ALTER TABLE objects ADD COLUMN is_suspect INTEGER NOT NULL DEFAULT 0 CHECK (is_suspect IN (0, 1));  -- compare it soon
ALTER TABLE objects ADD COLUMN forgotten_at TEXT;     -- a person took its rows out of the lake

ALTER TABLE versions ADD COLUMN probe TEXT;           -- hash of the two ends of a large file
ALTER TABLE versions ADD COLUMN content TEXT;         -- hash of its content and the place of its rows
ALTER TABLE versions ADD COLUMN execution TEXT;       -- workflow_execution_id of the result it is
ALTER TABLE versions ADD COLUMN same_as INTEGER REFERENCES objects;  -- whose rows are counted instead; NULL: its own

CREATE INDEX objects_suspect ON objects (object_id) WHERE is_suspect = 1;
CREATE INDEX versions_by_sha256 ON versions (sha256) WHERE sha256 IS NOT NULL;
CREATE INDEX versions_by_execution ON versions (execution) WHERE execution IS NOT NULL;
CREATE INDEX versions_counted_elsewhere ON versions (same_as) WHERE same_as IS NOT NULL;
