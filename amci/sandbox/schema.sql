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
