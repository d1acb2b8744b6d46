-- How AMC was asked for an execution, and how it answered last: URL, time, HTTP status; nothing secret.

ALTER TABLE executions ADD COLUMN submitted TEXT;  -- the request that was to make it
ALTER TABLE executions ADD COLUMN answered TEXT;   -- the newest look at it
