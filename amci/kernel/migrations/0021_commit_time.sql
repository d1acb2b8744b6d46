-- The newest commit by its time, too, which tells it from another lake's of that number.

ALTER TABLE lake ADD COLUMN snapshot_at TEXT;  -- as the catalog has it; NULL if an older amci noted the commit
