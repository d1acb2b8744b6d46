-- A request that got no answer may be carried out late, after it was sent again: then AMC has two executions of it.

ALTER TABLE executions ADD COLUMN sends INTEGER NOT NULL DEFAULT 0;  -- how often it went out and was not refused
ALTER TABLE executions ADD COLUMN first_sent_at TEXT;
ALTER TABLE executions ADD COLUMN second_of INTEGER REFERENCES executions;  -- the request that made this one too

CREATE INDEX executions_made_twice ON executions (second_of) WHERE second_of IS NOT NULL;
