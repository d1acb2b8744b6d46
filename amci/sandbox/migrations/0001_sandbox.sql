CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;

CREATE TABLE IF NOT EXISTS tokens (
  token      TEXT PRIMARY KEY,  -- SHA-256; somebody may try the sandbox with a real refresh token
  kind       TEXT NOT NULL CHECK (kind IN ('access', 'refresh', 'code')),
  client_id  TEXT NOT NULL,
  expires_at INTEGER NOT NULL,  -- moments are microseconds since 1970
  is_spent   INTEGER NOT NULL
) STRICT;

-- Instances that were made here, and what was changed about those the sandbox was told of.
CREATE TABLE IF NOT EXISTS instances (
  seq            INTEGER PRIMARY KEY AUTOINCREMENT,
  instance_id    TEXT NOT NULL UNIQUE,
  entity_id      TEXT NOT NULL,
  marketplace_id TEXT NOT NULL,
  fields         TEXT NOT NULL,  -- JSON of what was asked for, and changed since
  token          TEXT,           -- idempotencyToken
  created_at     INTEGER,        -- NULL where the sandbox was told of it
  is_deleted     INTEGER NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS advertiser_updates (
  instance_id TEXT NOT NULL,
  update_id   INTEGER NOT NULL,  -- from 0, in each instance
  document    TEXT NOT NULL,
  outcome     TEXT NOT NULL,     -- COMPLETED or REJECTED, once its time is up
  created_at  INTEGER NOT NULL,
  PRIMARY KEY (instance_id, update_id)
) STRICT;

CREATE TABLE IF NOT EXISTS workflows (
  instance_id TEXT NOT NULL,
  workflow_id TEXT NOT NULL,
  definition  TEXT NOT NULL,    -- JSON as it was sent
  created_at  INTEGER NOT NULL,
  changed_at  INTEGER NOT NULL,
  PRIMARY KEY (instance_id, workflow_id)
) STRICT;

CREATE TABLE IF NOT EXISTS schedules (
  instance_id TEXT NOT NULL,
  schedule_id TEXT NOT NULL,
  workflow_id TEXT NOT NULL,
  document    TEXT NOT NULL,
  next_at     INTEGER,          -- NULL where it is switched off
  PRIMARY KEY (instance_id, schedule_id)
) STRICT;
CREATE INDEX IF NOT EXISTS schedules_due ON schedules (next_at) WHERE next_at IS NOT NULL;

CREATE TABLE IF NOT EXISTS executions (
  seq                   INTEGER PRIMARY KEY AUTOINCREMENT,
  workflow_execution_id TEXT NOT NULL UNIQUE,
  instance_id  TEXT NOT NULL,
  workflow_id  TEXT NOT NULL,
  request      TEXT NOT NULL,   -- JSON as it was sent
  definition   TEXT NOT NULL,   -- of the workflow as it stood when the execution was asked for
  schedule     TEXT NOT NULL,   -- adhoc, daily, weekly
  status       TEXT NOT NULL,
  reason       TEXT,
  is_stuck     INTEGER NOT NULL,
  created_at   INTEGER NOT NULL,
  changed_at   INTEGER NOT NULL,
  started_at   INTEGER,
  ends_at      INTEGER,         -- while RUNNING: when it may end
  ended_at     INTEGER,         -- while RUNNING: its time is up, its result is being made
  window_start INTEGER NOT NULL,
  window_end   INTEGER NOT NULL,
  result_id    TEXT,
  delivered    TEXT             -- key in the bucket
) STRICT;
CREATE INDEX IF NOT EXISTS executions_pending ON executions (instance_id, seq) WHERE status = 'PENDING';
CREATE INDEX IF NOT EXISTS executions_running ON executions (instance_id, ends_at) WHERE status = 'RUNNING';
CREATE INDEX IF NOT EXISTS executions_by_instance ON executions (instance_id, seq);
CREATE INDEX IF NOT EXISTS executions_by_workflow ON executions (instance_id, workflow_id, seq);

CREATE TABLE IF NOT EXISTS results (
  result_id TEXT PRIMARY KEY,
  content   BLOB NOT NULL,
  columns   TEXT NOT NULL,
  rows      INTEGER NOT NULL
) STRICT;

-- When something may next happen to an instance's executions.
CREATE TABLE IF NOT EXISTS queues (instance_id TEXT PRIMARY KEY, next_at INTEGER NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS queues_due ON queues (next_at);

-- Rule-based and lookalike audiences.
CREATE TABLE IF NOT EXISTS audiences (
  seq          INTEGER PRIMARY KEY AUTOINCREMENT,
  audience_id  TEXT NOT NULL UNIQUE,  -- audienceExecutionId
  instance_id  TEXT NOT NULL,
  kind         TEXT NOT NULL,         -- RULE_BASED or LOOKALIKE
  request      TEXT NOT NULL,         -- JSON with AMC's defaults, without query and window
  query        TEXT NOT NULL,         -- of the workflow as it stood when the audience was asked for, where it has one
  status       TEXT NOT NULL,
  reason       TEXT,
  created_at   INTEGER NOT NULL,
  asked_at     INTEGER NOT NULL,      -- the same, or when it was last mended
  next_at      INTEGER,               -- when something happens to it; NULL where nothing will
  tried_at     INTEGER,               -- latest refresh
  refreshed_at INTEGER,               -- latest refresh that succeeded; the making itself is the first
  window_start INTEGER NOT NULL,
  window_end   INTEGER NOT NULL,
  members      INTEGER
) STRICT;
CREATE INDEX IF NOT EXISTS audiences_due ON audiences (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS audiences_by_instance ON audiences (instance_id, seq);

-- What advertisers uploaded: the rows themselves lie in folders, see versions.py.
CREATE TABLE IF NOT EXISTS data_sets (
  seq         INTEGER PRIMARY KEY AUTOINCREMENT,
  instance_id TEXT NOT NULL,
  data_set_id TEXT NOT NULL,
  document    TEXT NOT NULL,         -- JSON of what was asked for, without columns
  columns     TEXT NOT NULL,         -- JSON, each with the key its values have in files
  next_key    INTEGER NOT NULL,
  stored      TEXT NOT NULL,         -- JSON of the keys the present version has values of
  version     TEXT,                  -- its folder; NULL where nothing was uploaded yet
  previous    TEXT,                  -- somebody may still read it
  created_at  INTEGER NOT NULL,
  UNIQUE (instance_id, data_set_id)
) STRICT;

CREATE TABLE IF NOT EXISTS uploads (
  seq          INTEGER PRIMARY KEY AUTOINCREMENT,
  upload_id    TEXT NOT NULL UNIQUE,
  instance_id  TEXT NOT NULL,
  data_set_id  TEXT NOT NULL,
  data_set_seq INTEGER NOT NULL,
  request      TEXT NOT NULL,
  status       TEXT NOT NULL,        -- SUBMITTED, IN_PROGRESS, SUCCESS, FAILED
  message      TEXT,
  rows         INTEGER,
  created_at   INTEGER NOT NULL,
  updated_at   INTEGER NOT NULL,
  starts_at    INTEGER NOT NULL,
  ends_at      INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS uploads_open ON uploads (ends_at) WHERE status IN ('SUBMITTED', 'IN_PROGRESS');
CREATE INDEX IF NOT EXISTS uploads_by_instance ON uploads (instance_id, seq);

CREATE TABLE IF NOT EXISTS deletions (
  seq         INTEGER PRIMARY KEY AUTOINCREMENT,
  deletion_id TEXT NOT NULL UNIQUE,
  instance_id TEXT NOT NULL,
  identities  TEXT NOT NULL,         -- JSON; empty once they are forgotten
  number      INTEGER NOT NULL,
  status      TEXT NOT NULL,         -- PENDING, SUCCEEDED
  created_at  INTEGER NOT NULL,
  updated_at  INTEGER NOT NULL,
  ends_at     INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS deletions_open ON deletions (ends_at) WHERE status = 'PENDING';

-- Queries that were run, for the budget of different ones on the same data.
CREATE TABLE IF NOT EXISTS used (
  seq          INTEGER PRIMARY KEY AUTOINCREMENT,
  instance_id  TEXT NOT NULL,
  sources      TEXT NOT NULL,        -- JSON
  window_start INTEGER NOT NULL,
  window_end   INTEGER NOT NULL,
  fingerprint  TEXT NOT NULL,
  at           INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS used_by_instance ON used (instance_id, at);
