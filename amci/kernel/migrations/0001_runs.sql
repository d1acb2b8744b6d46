-- Runs: queue, state machine, history and failed runs in one table.

CREATE TABLE runs (
    run_id          INTEGER PRIMARY KEY,
    idempotency_key TEXT NOT NULL UNIQUE,        -- for ever: runs are never deleted
    kind            TEXT NOT NULL,               -- which handler
    status          TEXT NOT NULL,
    priority        INTEGER NOT NULL,            -- higher goes first
    rank            INTEGER NOT NULL,            -- fair turn among runs of one kind and priority
    is_ready        INTEGER NOT NULL CHECK (is_ready IN (0, 1)),  -- 0: has to be promoted when run_after has come
    pool            TEXT NOT NULL,               -- whose slots it takes; '' means unbounded
    tenant_id       TEXT,
    lock_key        TEXT,                        -- runs with the same one go one after another
    batch_key       TEXT NOT NULL,               -- runs of one kind and batch_key may be claimed together
    payload         TEXT NOT NULL CHECK (json_valid(payload)),
    result          TEXT CHECK (result IS NULL OR json_valid(result)),
    reason          TEXT,
    correlation_id  TEXT NOT NULL,
    parent_run_id   INTEGER REFERENCES runs,
    attempts        INTEGER NOT NULL DEFAULT 0,  -- tries that failed
    claims          INTEGER NOT NULL DEFAULT 0,  -- the fence: only the newest claim may finish
    expiries        INTEGER NOT NULL DEFAULT 0,  -- leases that ran out
    worker          TEXT,
    lease_until     TEXT,
    run_after       TEXT NOT NULL,
    created_at      TEXT NOT NULL,
    changed_at      TEXT NOT NULL
) STRICT;

CREATE INDEX runs_claimable ON runs (kind, priority DESC, rank, run_id) WHERE status = 'PENDING' AND is_ready = 1;
CREATE INDEX runs_batchable ON runs (kind, batch_key, priority DESC, rank, run_id)
    WHERE status = 'PENDING' AND is_ready = 1;
CREATE INDEX runs_waiting ON runs (kind, run_after) WHERE status = 'PENDING' AND is_ready = 0;
CREATE INDEX runs_pending_by_lock ON runs (lock_key, run_id) WHERE status = 'PENDING' AND lock_key IS NOT NULL;
CREATE UNIQUE INDEX one_running_per_lock ON runs (lock_key) WHERE status = 'RUNNING' AND lock_key IS NOT NULL;
CREATE INDEX runs_running_by_pool ON runs (pool) WHERE status = 'RUNNING';
CREATE INDEX runs_leased ON runs (lease_until) WHERE status = 'RUNNING';
CREATE INDEX runs_by_kind ON runs (kind, status);
CREATE INDEX runs_by_correlation ON runs (correlation_id);

CREATE TABLE run_moves (
    old   TEXT NOT NULL,                         -- '' before there was a run
    new   TEXT NOT NULL,
    event TEXT NOT NULL,
    why   TEXT NOT NULL,
    PRIMARY KEY (old, new)
) STRICT, WITHOUT ROWID;

INSERT INTO run_moves (old, new, event, why) VALUES
    ('',        'PENDING',   'created',   'ingest, a fire, a predecessor, a person'),
    ('PENDING', 'RUNNING',   'claimed',   'a worker took it, with a lease'),
    ('RUNNING', 'SUCCEEDED', 'succeeded', 'the handler said Done'),
    ('RUNNING', 'SKIPPED',   'skipped',   'the handler said Skipped, with a reason'),
    ('RUNNING', 'PENDING',   'returned',  'snooze, retryable error, expired lease, orderly shutdown'),
    ('RUNNING', 'FAILED',    'failed',    'any other error; retries used up; abandoned'),
    ('PENDING', 'CANCELLED', 'cancelled', 'a person'),
    ('RUNNING', 'CANCELLED', 'cancelled', 'a person'),
    ('FAILED',  'PENDING',   'redriven',  'a person, or reprocessing when rules changed'),
    ('SKIPPED', 'PENDING',   'redriven',  'a person, or reprocessing when rules changed');

CREATE TABLE run_events (
    run_id INTEGER NOT NULL,
    seq    INTEGER NOT NULL,                     -- 1, 2, 3 … within its run
    event  TEXT NOT NULL,
    reason TEXT,
    worker TEXT,
    at     TEXT NOT NULL,
    PRIMARY KEY (run_id, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE pools (
    pool TEXT PRIMARY KEY,
    size INTEGER NOT NULL CHECK (size >= 0)
) STRICT, WITHOUT ROWID;

-- Start-time fair queueing: what was claimed last, and what each tenant was given last.
CREATE TABLE virtual_times (
    kind     TEXT NOT NULL,
    priority INTEGER NOT NULL,
    rank     INTEGER NOT NULL,
    PRIMARY KEY (kind, priority)
) STRICT, WITHOUT ROWID;

CREATE TABLE last_ranks (
    kind      TEXT NOT NULL,
    priority  INTEGER NOT NULL,
    tenant_id TEXT NOT NULL,                     -- '' for runs of no tenant
    rank      INTEGER NOT NULL,
    PRIMARY KEY (kind, priority, tenant_id)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER runs_guard BEFORE UPDATE OF status ON runs
WHEN NOT EXISTS (SELECT 1 FROM run_moves WHERE old = OLD.status AND new = NEW.status)
BEGIN SELECT RAISE(ABORT, 'illegal run transition'); END;

CREATE TRIGGER runs_for_ever BEFORE DELETE ON runs
BEGIN SELECT RAISE(ABORT, 'runs are never deleted: their keys are unique for ever'); END;

-- A run that begins as anything but PENDING has no event, and an event may not be NULL.
CREATE TRIGGER runs_history_insert AFTER INSERT ON runs
BEGIN INSERT INTO run_events (run_id, seq, event, reason, worker, at)
      VALUES (NEW.run_id, 1, (SELECT event FROM run_moves WHERE old = '' AND new = NEW.status),
              NEW.reason, NEW.worker, NEW.created_at); END;

CREATE TRIGGER runs_history AFTER UPDATE OF status ON runs
BEGIN INSERT INTO run_events (run_id, seq, event, reason, worker, at)
      SELECT NEW.run_id,
             1 + coalesce((SELECT max(seq) FROM run_events WHERE run_id = NEW.run_id), 0),
             event, NEW.reason, coalesce(NEW.worker, OLD.worker), NEW.changed_at
        FROM run_moves WHERE old = OLD.status AND new = NEW.status; END;
