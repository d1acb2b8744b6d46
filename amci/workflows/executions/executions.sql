-- name: newest
-- The newest attempt of each of these runs.
SELECT * FROM executions AS e
 WHERE run_id IN (SELECT value FROM json_each(:run_ids))
   AND attempt = (SELECT max(attempt) FROM executions AS other WHERE other.run_id = e.run_id);

-- name: redrives
SELECT run_id, count(*) AS redrives FROM run_events
 WHERE run_id IN (SELECT value FROM json_each(:run_ids)) AND event = 'redriven'
 GROUP BY run_id;

-- name: begin
INSERT INTO executions (run_id, attempt, redrives, tenant_id, instance_id, workflow_id, name, schedule, request,
                        content, fingerprint, time_window, sql_hash, deadline_at, deadline_from, changed_at)
VALUES (:run_id, :attempt, :redrives, :tenant_id, :instance_id, :workflow_id, :name, :schedule, :request,
        :content, :fingerprint, :time_window, :sql_hash, :deadline_at, :now, :now)
RETURNING *;

-- name: go_on
-- A redriven run takes up the execution it has.
UPDATE executions SET redrives = :redrives, deadline_at = :deadline_at, deadline_from = :now, looks = 0, changed_at = :now
 WHERE execution_id = :execution_id
RETURNING *;

-- name: may_be_sent
-- Whether the run is still in the hands of the worker that claimed it, and whether another request that AMC would show
-- alike was sent so lately that what it made may not be known yet.
SELECT EXISTS (SELECT 1 FROM runs WHERE run_id = :run_id AND claims = :claims AND status = 'RUNNING') AS is_ours,
       EXISTS (SELECT 1 FROM executions AS other, executions AS own
                WHERE own.execution_id = :execution_id
                  AND other.instance_id = own.instance_id AND other.fingerprint = own.fingerprint
                  AND other.submitting_at IS NOT NULL AND other.workflow_execution_id IS NULL
                  AND other.submitting_at > :since AND other.execution_id <> own.execution_id
                  AND (other.time_window = own.time_window OR other.time_window = '' OR own.time_window = '')
       ) AS is_confusable;

-- name: submitting
UPDATE executions
   SET submitting_at = :now, search_from = NULL, sends = sends + 1, first_sent_at = coalesce(first_sent_at, :now),
       changed_at = :now
 WHERE execution_id = :execution_id
RETURNING *;

-- name: came_late
-- What a request may have made is as old as before, however late it is looked for.
UPDATE executions
   SET deadline_at = :deadline_at, deadline_from = :now,
       search_from = CASE WHEN workflow_execution_id IS NULL THEN coalesce(search_from, submitting_at) ELSE search_from END,
       submitting_at = CASE WHEN submitting_at IS NULL OR workflow_execution_id IS NOT NULL THEN submitting_at
                            WHEN search_from IS NULL THEN :now
                            ELSE :submitting_at END
 WHERE execution_id = :execution_id
RETURNING *;

-- name: not_submitted
-- Nothing was sent, or AMC refused it: there is nothing to look for.
UPDATE executions SET submitting_at = NULL, sends = max(sends - 1, 0), looks = looks + 1, changed_at = :now
 WHERE execution_id = :execution_id
RETURNING *;

-- name: not_found
-- AMC does not show what it may have made, and is not asked again; it may still make it.
UPDATE executions SET submitting_at = NULL, changed_at = :now WHERE execution_id = :execution_id
RETURNING *;

-- name: may_have_more
-- Requests that went out more often than AMC has shown executions of them; none that is still looked for.
SELECT * FROM executions AS e
 WHERE instance_id = :instance_id AND run_id IS NOT NULL AND first_sent_at >= :since
   AND (workflow_execution_id IS NOT NULL OR status IS NOT NULL OR submitting_at IS NULL)
   AND sends > (workflow_execution_id IS NOT NULL)
             + (SELECT count(*) FROM executions AS other WHERE other.second_of = e.execution_id)
 ORDER BY execution_id;

-- name: unclaimed
-- Executions of AMC's that no request of ours is known to have made.
SELECT workflow_execution_id FROM executions
 WHERE instance_id = :instance_id AND run_id IS NULL AND second_of IS NULL AND created_at >= :since;

-- name: second
UPDATE executions SET second_of = :second_of WHERE execution_id = :execution_id
RETURNING *;

-- name: note_second
INSERT INTO run_events (run_id, seq, event, reason, worker, at)
SELECT :run_id, 1 + coalesce(max(seq), 0), 'executed_twice', :reason, NULL, :now FROM run_events WHERE run_id = :run_id;

-- name: twice
SELECT count(*) AS executions, coalesce(sum(status IN ('PENDING', 'RUNNING', 'PUBLISHING')), 0) AS alive
  FROM executions WHERE second_of IS NOT NULL;

-- name: submitted
UPDATE executions SET submitted = :submitted WHERE execution_id = :execution_id
RETURNING *;

-- name: looked
UPDATE executions SET looks = looks + 1, answered = coalesce(:answered, answered) WHERE execution_id = :execution_id
RETURNING *;

-- name: owner
SELECT execution_id, run_id FROM executions
 WHERE instance_id = :instance_id AND workflow_execution_id = :workflow_execution_id;

-- name: owned
-- Which of these executions belong to a run of ours.
SELECT workflow_execution_id FROM executions
 WHERE instance_id = :instance_id AND (run_id IS NOT NULL OR second_of IS NOT NULL)
   AND workflow_execution_id IN (SELECT value FROM json_each(:ids));

-- name: forget
DELETE FROM executions WHERE execution_id = :execution_id AND run_id IS NULL;

-- name: take
UPDATE executions
   SET workflow_execution_id = :workflow_execution_id, submitted = coalesce(:submitted, submitted), looks = 0,
       changed_at = :now, status = :status, status_reason = :status_reason,
       created_at = coalesce(:created_at, created_at), updated_at = coalesce(:updated_at, updated_at),
       window_start = coalesce(:window_start, window_start), window_end = coalesce(:window_end, window_end),
       document = :document, answered = coalesce(:answered, answered)
 WHERE execution_id = :execution_id
RETURNING *;

-- name: see
-- `changed_at` is when its status changed.
UPDATE executions
   SET changed_at = CASE WHEN status IS :status THEN changed_at ELSE :now END,
       status = :status, status_reason = :status_reason,
       created_at = coalesce(:created_at, created_at), updated_at = coalesce(:updated_at, updated_at),
       window_start = coalesce(:window_start, window_start), window_end = coalesce(:window_end, window_end),
       document = :document, looks = looks + :looks, answered = coalesce(:answered, answered)
 WHERE execution_id = :execution_id
RETURNING *;

-- name: end
UPDATE executions SET status = :status, status_reason = :status_reason, changed_at = :now
 WHERE execution_id = :execution_id
RETURNING *;

-- name: deliver
UPDATE executions SET key = :key, rows = :rows, bytes = :bytes WHERE execution_id = :execution_id
RETURNING *;

-- name: note_foreign
INSERT INTO executions (attempt, redrives, tenant_id, instance_id, workflow_id, name, schedule, content,
                        fingerprint, time_window, workflow_execution_id, changed_at)
VALUES (1, 0, :tenant_id, :instance_id, :workflow_id, :workflow_id, 'adhoc', :content, :fingerprint, :time_window,
        :workflow_execution_id, :now)
RETURNING *;

-- name: get
SELECT * FROM executions WHERE execution_id = :execution_id;

-- name: of_run
SELECT * FROM executions WHERE run_id = :run_id ORDER BY attempt DESC;

-- name: by_amc
SELECT * FROM executions WHERE workflow_execution_id = :workflow_execution_id;

-- name: to_reconcile
-- What AMC should still know: not ended, or lately made.
SELECT * FROM executions
 WHERE tenant_id = :tenant_id AND workflow_execution_id IS NOT NULL
   AND (status IS NULL OR status IN ('PENDING', 'RUNNING', 'PUBLISHING') OR created_at >= :since);

-- name: list
SELECT * FROM executions
 WHERE (:tenants = '[]' OR tenant_id IN (SELECT value FROM json_each(:tenants)))
   AND (:status IS NULL OR status = :status) AND (:workflow IS NULL OR name = :workflow)
 ORDER BY execution_id DESC LIMIT :limit;

-- name: in_amc
SELECT count(DISTINCT runs.run_id) AS executions FROM runs CROSS JOIN executions USING (run_id)
 WHERE runs.kind = 'execute' AND runs.status IN ('PENDING', 'RUNNING')
   AND executions.workflow_execution_id IS NOT NULL;

-- name: summary
SELECT status, count(*) AS executions FROM executions
 WHERE tenant_id = :tenant_id AND workflow_execution_id IS NOT NULL AND created_at >= :since
 GROUP BY status;

-- name: resubmittable
-- Failed, or never in AMC, and nothing equal has succeeded since or is on its way; of equal ones the newest.
SELECT e.* FROM executions AS e
 WHERE e.run_id IS NOT NULL AND e.changed_at >= :since
   AND (e.status IN ('FAILED', 'REJECTED', 'DELETED')
        OR e.status IS NULL AND e.workflow_execution_id IS NULL AND e.submitting_at IS NULL
           AND EXISTS (SELECT 1 FROM runs WHERE runs.run_id = e.run_id AND runs.status = 'FAILED'))
   AND NOT EXISTS (
       SELECT 1 FROM executions AS better JOIN runs USING (run_id)
        WHERE better.tenant_id = e.tenant_id AND better.content = e.content AND better.name = e.name
          AND (better.status = 'SUCCEEDED' OR runs.status IN ('PENDING', 'RUNNING')))
   AND NOT EXISTS (
       SELECT 1 FROM executions AS newer
        WHERE newer.tenant_id = e.tenant_id AND newer.content = e.content AND newer.execution_id > e.execution_id
          AND newer.run_id IS NOT NULL)
 ORDER BY e.execution_id;
