-- Workflow executions in AMC: those our runs asked for, and those that others did.

CREATE TABLE executions (
    execution_id  INTEGER PRIMARY KEY,
    run_id        INTEGER REFERENCES runs,   -- NULL: somebody else asked AMC for it
    attempt       INTEGER NOT NULL,          -- 1, 2, 3 … of its run; only a redrive begins a new one
    redrives      INTEGER NOT NULL,          -- how often its run had been redriven when this attempt last began
    tenant_id     TEXT NOT NULL,
    instance_id   TEXT NOT NULL,
    workflow_id   TEXT NOT NULL,             -- as AMC knows it
    name          TEXT NOT NULL,             -- the workflow as people know it: the folder of the result
    schedule      TEXT NOT NULL,
    request       TEXT CHECK (request IS NULL OR json_valid(request)),  -- as sent, dates resolved
    content       TEXT NOT NULL,             -- hash of everything that was asked for; equal requests have equal ones
    fingerprint   TEXT NOT NULL,             -- hash of what AMC shows of it: workflow, zone, parameters
    time_window   TEXT NOT NULL,             -- start/end as asked; '' where AMC resolves it
    submitting_at TEXT,                      -- written before the request is sent
    workflow_execution_id TEXT,              -- NULL until AMC's answer, or the execution itself, was seen
    status        TEXT,                      -- AMC's word; NULL until AMC has it
    status_reason TEXT NOT NULL DEFAULT '',
    created_at    TEXT,                      -- by AMC
    updated_at    TEXT,                      -- by AMC
    window_start  TEXT,                      -- UTC
    window_end    TEXT,                      -- UTC
    document      TEXT,                      -- all that AMC said last
    looks         INTEGER NOT NULL DEFAULT 0,
    deadline_at   TEXT,                      -- given up then
    key           TEXT,                      -- the result in raw/; NULL until it is there
    rows          INTEGER,
    bytes         INTEGER,
    changed_at    TEXT NOT NULL,
    UNIQUE (run_id, attempt),
    UNIQUE (instance_id, workflow_execution_id)
) STRICT;

CREATE INDEX executions_by_tenant ON executions (tenant_id, created_at);
CREATE INDEX executions_by_content ON executions (tenant_id, content);
CREATE INDEX executions_on_their_way ON executions (instance_id, fingerprint)
    WHERE submitting_at IS NOT NULL AND workflow_execution_id IS NULL;
