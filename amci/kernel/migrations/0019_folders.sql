-- Folders of raw files as they were when they were last listed: what has not changed since is not listed again.

CREATE TABLE folders (
    root     TEXT NOT NULL,
    folder   TEXT NOT NULL,   -- how the keys in it begin, without the last slash
    mtime_ns INTEGER,         -- of the folder; NULL: it is listed at the next look, whatever its times say
    ctime_ns INTEGER,
    inode    INTEGER,
    PRIMARY KEY (root, folder)
) STRICT, WITHOUT ROWID;

CREATE TABLE full_looks (
    root     TEXT PRIMARY KEY,
    path     TEXT NOT NULL,   -- where the root was then
    at       TEXT NOT NULL,   -- when each file was last compared
    is_telling INTEGER NOT NULL CHECK (is_telling IN (0, 1))  -- 0: files came and its folders' times stayed
) STRICT, WITHOUT ROWID;
