-- What an attempt sends is fixed before it is sent; a workflow that is edited meanwhile changes nothing about it.

ALTER TABLE executions ADD COLUMN sql_hash TEXT;  -- '' where the SQL is only in AMC; NULL if an older amci began it
