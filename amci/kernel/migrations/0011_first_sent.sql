-- For the look at waits that begin in the future, which is taken several times a minute.
CREATE INDEX executions_by_first_sent ON executions (first_sent_at);
