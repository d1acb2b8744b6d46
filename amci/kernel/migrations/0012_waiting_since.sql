-- The same look, at runs: without these it reads every run that waits.
CREATE INDEX runs_waiting_since ON runs (changed_at) WHERE status = 'PENDING' AND is_ready = 0;
CREATE INDEX runs_waiting_created ON runs (created_at) WHERE status = 'PENDING' AND is_ready = 0;
