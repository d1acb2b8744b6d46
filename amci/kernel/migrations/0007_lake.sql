-- Which catalog this state belongs to, and how far that was.

CREATE TABLE lake (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    lake_id  TEXT,                       -- the catalog has the same; NULL until one was opened
    epoch    INTEGER NOT NULL DEFAULT 0, -- grows whenever the two are brought together again; the catalog has the same
    snapshot INTEGER NOT NULL DEFAULT 0  -- the newest commit that is noted in this file
) STRICT;

INSERT INTO lake (one) VALUES (1);

INSERT INTO run_moves (old, new, event, why) VALUES
    ('', 'SUCCEEDED', 'recovered', 'the catalog has what it loaded, and the state was lost or older');
