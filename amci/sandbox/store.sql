-- name: new_instance
INSERT INTO instances (instance_id, entity_id, marketplace_id, fields, token, created_at, is_deleted)
VALUES (:instance_id, :entity_id, :marketplace_id, :fields, :token, :now, 0);

-- name: change_instance
INSERT INTO instances (instance_id, entity_id, marketplace_id, fields, is_deleted)
VALUES (:instance_id, :entity_id, :marketplace_id, :fields, :is_deleted)
ON CONFLICT (instance_id) DO UPDATE SET fields = excluded.fields, is_deleted = excluded.is_deleted;

-- name: instance
SELECT * FROM instances WHERE instance_id = :instance_id;

-- name: instances_made
SELECT * FROM instances
 WHERE entity_id = :entity_id AND marketplace_id = :marketplace_id AND created_at IS NOT NULL AND is_deleted = 0
 ORDER BY seq;

-- name: instance_by_token
SELECT * FROM instances
 WHERE entity_id = :entity_id AND marketplace_id = :marketplace_id AND token = :token AND is_deleted = 0
   AND created_at > :since
 ORDER BY seq DESC LIMIT 1;

-- name: forget_workflows
DELETE FROM workflows WHERE instance_id = :instance_id;

-- name: forget_schedules
DELETE FROM schedules WHERE instance_id = :instance_id;

-- name: forget_executions
DELETE FROM executions WHERE instance_id = :instance_id;

-- name: forget_queue
DELETE FROM queues WHERE instance_id = :instance_id;

-- name: new_advertiser_update
INSERT INTO advertiser_updates (instance_id, update_id, document, outcome, created_at)
VALUES (:instance_id, :update_id, :document, :outcome, :now);

-- name: advertiser_updates
SELECT * FROM advertiser_updates WHERE instance_id = :instance_id ORDER BY update_id;

-- name: new_workflow
INSERT INTO workflows (instance_id, workflow_id, definition, created_at, changed_at)
VALUES (:instance_id, :workflow_id, :definition, :now, :now)
ON CONFLICT DO NOTHING;

-- name: change_workflow
UPDATE workflows SET definition = :definition, changed_at = :now
 WHERE instance_id = :instance_id AND workflow_id = :workflow_id;

-- name: workflow
SELECT * FROM workflows WHERE instance_id = :instance_id AND workflow_id = :workflow_id;

-- name: workflows
SELECT * FROM workflows WHERE instance_id = :instance_id AND workflow_id > :after
 ORDER BY workflow_id LIMIT :limit;

-- name: delete_workflow
DELETE FROM workflows WHERE instance_id = :instance_id AND workflow_id = :workflow_id;

-- name: new_schedule
INSERT INTO schedules (instance_id, schedule_id, workflow_id, document, next_at)
VALUES (:instance_id, :schedule_id, :workflow_id, :document, :next_at)
ON CONFLICT DO NOTHING;

-- name: change_schedule
UPDATE schedules SET workflow_id = :workflow_id, document = :document, next_at = :next_at
 WHERE instance_id = :instance_id AND schedule_id = :schedule_id;

-- name: schedule
SELECT * FROM schedules WHERE instance_id = :instance_id AND schedule_id = :schedule_id;

-- name: schedules
SELECT * FROM schedules WHERE instance_id = :instance_id AND schedule_id > :after
 ORDER BY schedule_id LIMIT :limit;

-- name: schedules_of_workflow
SELECT schedule_id FROM schedules WHERE instance_id = :instance_id AND workflow_id = :workflow_id
 ORDER BY schedule_id;

-- name: delete_schedule
DELETE FROM schedules WHERE instance_id = :instance_id AND schedule_id = :schedule_id;

-- name: due_schedule
SELECT * FROM schedules WHERE next_at <= :now ORDER BY next_at, schedule_id LIMIT 1;

-- name: schedule_fired
UPDATE schedules SET next_at = :next_at WHERE instance_id = :instance_id AND schedule_id = :schedule_id;

-- name: new_execution
INSERT INTO executions (workflow_execution_id, instance_id, workflow_id, request, definition, status, is_stuck,
                        created_at, changed_at, window_start, window_end, schedule)
VALUES (:workflow_execution_id, :instance_id, :workflow_id, :request, :definition, 'PENDING', :is_stuck,
        :now, :now, :window_start, :window_end, :schedule);

-- name: workflow_execution
SELECT * FROM executions WHERE instance_id = :instance_id AND workflow_execution_id = :workflow_execution_id;

-- name: executions
-- Newest first.
SELECT * FROM executions
 WHERE instance_id = :instance_id AND seq < :after AND created_at BETWEEN :since AND :until
   AND (status <> 'CANCELLED' OR :is_with_cancelled)
 ORDER BY seq DESC LIMIT :limit;

-- name: executions_oldest_first
SELECT * FROM executions
 WHERE instance_id = :instance_id AND seq > :after AND created_at BETWEEN :since AND :until
   AND (status <> 'CANCELLED' OR :is_with_cancelled)
 ORDER BY seq LIMIT :limit;

-- name: executions_of_workflow
SELECT * FROM executions
 WHERE instance_id = :instance_id AND workflow_id = :workflow_id AND seq < :after
   AND created_at BETWEEN :since AND :until AND (status <> 'CANCELLED' OR :is_with_cancelled)
 ORDER BY seq DESC LIMIT :limit;

-- name: executions_of_workflow_oldest_first
SELECT * FROM executions
 WHERE instance_id = :instance_id AND workflow_id = :workflow_id AND seq > :after
   AND created_at BETWEEN :since AND :until AND (status <> 'CANCELLED' OR :is_with_cancelled)
 ORDER BY seq LIMIT :limit;

-- name: wake
-- Look at an instance no later than `at`.
INSERT INTO queues (instance_id, next_at) VALUES (:instance_id, :at)
ON CONFLICT (instance_id) DO UPDATE SET next_at = min(next_at, excluded.next_at);

-- name: wake_several
UPDATE queues SET next_at = min(next_at, :at) WHERE instance_id IN (SELECT value FROM json_each(:instances));

-- name: wake_all
-- Delays may be other ones than when the file was last open.
UPDATE queues SET next_at = 0;

-- name: due_queues
SELECT instance_id, next_at FROM queues WHERE next_at <= :now;

-- name: rest
-- Look again when the first of those that run may end, or, where a slot is free, the first that waits may start;
-- at once where a result is still to be made.
UPDATE queues SET next_at = min(
    coalesce((SELECT min(CASE WHEN ended_at IS NULL THEN ends_at ELSE 0 END)
                FROM executions INDEXED BY executions_running
               WHERE instance_id = :instance_id AND status = 'RUNNING'), :never),
    CASE WHEN :slots > (SELECT count(*) FROM executions INDEXED BY executions_running
                         WHERE instance_id = :instance_id AND status = 'RUNNING' AND ended_at IS NULL)
         THEN max(:no_sooner,
                  coalesce((SELECT created_at FROM executions INDEXED BY executions_pending
                             WHERE instance_id = :instance_id AND status = 'PENDING' AND is_stuck = 0
                             ORDER BY seq LIMIT 1) + :pending, :never))
         ELSE :never END)
 WHERE instance_id = :instance_id;

-- name: running
SELECT seq, ends_at FROM executions INDEXED BY executions_running
 WHERE instance_id = :instance_id AND status = 'RUNNING' AND ended_at IS NULL ORDER BY ends_at, seq;

-- name: running_anywhere
SELECT count(*) AS number FROM executions INDEXED BY executions_running
 WHERE status = 'RUNNING' AND ended_at IS NULL;

-- name: running_in
-- In several instances: how many, and when the first of them may end.
SELECT count(*) AS number, min(ends_at) AS first_end FROM executions INDEXED BY executions_running
 WHERE instance_id IN (SELECT value FROM json_each(:instances)) AND status = 'RUNNING' AND ended_at IS NULL;

-- name: pending
-- An execution runs as long as all do, or until it exceeds the limit its request names, no shorter than 900 seconds.
SELECT seq, created_at,
       CASE WHEN :lasts <= 900000000 THEN :lasts
            ELSE min(:lasts, coalesce(1 + 1000000 * nullif(CAST(
                 json_extract(request, '$.workflowExecutionTimeoutSeconds') AS INTEGER), 0), :lasts)) END AS lasts
  FROM executions INDEXED BY executions_pending
 WHERE instance_id = :instance_id AND status = 'PENDING' AND is_stuck = 0 AND created_at <= :ready ORDER BY seq;

-- name: overdue
-- Those whose time is up and whose result is still to be made.
SELECT * FROM executions INDEXED BY executions_running
 WHERE instance_id = :instance_id AND status = 'RUNNING' AND ended_at IS NOT NULL ORDER BY seq;

-- name: execution_by_seq
SELECT * FROM executions WHERE seq = :seq;

-- name: start
UPDATE executions SET status = 'RUNNING', started_at = :at, ends_at = :ends_at, changed_at = :at
 WHERE seq = :seq AND status = 'PENDING';

-- name: time_is_up
UPDATE executions SET ended_at = :at WHERE seq = :seq AND status = 'RUNNING';

-- name: finish
UPDATE executions SET status = :status, reason = :reason, result_id = :result_id, ended_at = :at, changed_at = :at,
                      delivered = :delivered
 WHERE seq = :seq AND status = 'RUNNING';

-- name: cancel
UPDATE executions SET status = 'CANCELLED', ended_at = :now, changed_at = :now
 WHERE instance_id = :instance_id AND workflow_execution_id = :workflow_execution_id
   AND status IN ('PENDING', 'RUNNING');

-- name: delete_workflow_execution
DELETE FROM executions WHERE instance_id = :instance_id AND workflow_execution_id = :workflow_execution_id;

-- name: keep_result
INSERT INTO results (result_id, content, columns, rows) VALUES (:result_id, :content, :columns, :rows)
ON CONFLICT DO NOTHING;

-- name: has_result
SELECT 1 FROM results WHERE result_id = :result_id;

-- name: result
SELECT * FROM results WHERE result_id = :result_id;

-- name: result_columns
SELECT columns, rows FROM results WHERE result_id = :result_id;

-- name: keep_token
INSERT INTO tokens (token, kind, client_id, expires_at, is_spent) VALUES (:token, :kind, :client_id, :expires_at, 0);

-- name: token
SELECT * FROM tokens WHERE token = :token;

-- name: spend_token
INSERT INTO tokens (token, kind, client_id, expires_at, is_spent) VALUES (:token, :kind, :client_id, 0, 1)
ON CONFLICT (token) DO UPDATE SET is_spent = 1;

-- name: forget_tokens
DELETE FROM tokens WHERE kind = 'access' AND expires_at < :now;

-- name: note
INSERT INTO notes (name, value) VALUES (:name, :value) ON CONFLICT DO NOTHING;

-- name: noted
SELECT value FROM notes WHERE name = :name;

-- name: new_audience
INSERT INTO audiences (audience_id, instance_id, kind, request, query, status, created_at, asked_at, next_at,
                       window_start, window_end)
VALUES (:audience_id, :instance_id, :kind, :request, :query, 'PENDING', :now, :now, :next_at,
        :window_start, :window_end);

-- name: audience
SELECT * FROM audiences WHERE instance_id = :instance_id AND audience_id = :audience_id;

-- name: audiences
-- Newest first.
SELECT * FROM audiences WHERE instance_id = :instance_id AND seq < :after ORDER BY seq DESC LIMIT :limit;

-- name: retry_audience
UPDATE audiences
   SET request = :request, query = :query, status = 'PENDING', reason = NULL, asked_at = :now, next_at = :next_at,
       window_start = :window_start, window_end = :window_end
 WHERE instance_id = :instance_id AND audience_id = :audience_id AND status = 'FAILED';

-- name: delete_audience
DELETE FROM audiences WHERE instance_id = :instance_id AND audience_id = :audience_id AND status = 'FAILED';

-- name: forget_audiences
DELETE FROM audiences WHERE instance_id = :instance_id;

-- name: due_audience
SELECT * FROM audiences WHERE next_at <= :now ORDER BY next_at, seq LIMIT 1;

-- name: advance_audience
UPDATE audiences
   SET status = :status, reason = :reason, next_at = :next_at, tried_at = :tried_at, refreshed_at = :refreshed_at,
       window_start = :window_start, window_end = :window_end, members = :members
 WHERE seq = :seq AND next_at = :was_at;

-- name: new_data_set
INSERT INTO data_sets (instance_id, data_set_id, document, columns, next_key, stored, created_at)
VALUES (:instance_id, :data_set_id, :document, :columns, :next_key, '[]', :now)
ON CONFLICT DO NOTHING;

-- name: data_set
SELECT * FROM data_sets WHERE instance_id = :instance_id AND data_set_id = :data_set_id;

-- name: data_set_by_seq
SELECT * FROM data_sets WHERE seq = :seq;

-- name: data_sets
SELECT * FROM data_sets WHERE instance_id = :instance_id AND data_set_id > :after
 ORDER BY data_set_id LIMIT :limit;

-- name: number_of_data_sets
SELECT count(*) AS number FROM data_sets WHERE instance_id = :instance_id;

-- name: change_data_set
UPDATE data_sets SET document = :document WHERE seq = :seq;

-- name: change_columns
UPDATE data_sets SET columns = :columns, next_key = :next_key WHERE seq = :seq;

-- name: swap_version
UPDATE data_sets SET previous = version, version = :version, stored = :stored
 WHERE seq = :seq AND version IS :old;

-- name: delete_data_set
DELETE FROM data_sets WHERE seq = :seq;

-- name: forget_data_sets
DELETE FROM data_sets WHERE instance_id = :instance_id;

-- name: new_upload
INSERT INTO uploads (upload_id, instance_id, data_set_id, data_set_seq, request, status, created_at, updated_at,
                     starts_at, ends_at)
VALUES (:upload_id, :instance_id, :data_set_id, :data_set_seq, :request, 'SUBMITTED', :now, :now,
        :starts_at, :ends_at);

-- name: upload
SELECT * FROM uploads WHERE instance_id = :instance_id AND data_set_id = :data_set_id AND upload_id = :upload_id;

-- name: upload_by_seq
SELECT * FROM uploads WHERE seq = :seq;

-- name: uploads
SELECT * FROM uploads
 WHERE instance_id = :instance_id AND seq > :after
   AND (:data_set_id IS NULL OR data_set_id = :data_set_id) AND (:status IS NULL OR status = :status)
   AND created_at >= :since AND created_at < :until
 ORDER BY seq LIMIT :limit;

-- name: uploads_to_start
-- The first condition is the one of the index.
SELECT seq FROM uploads WHERE status IN ('SUBMITTED', 'IN_PROGRESS') AND status = 'SUBMITTED' AND starts_at <= :now;

-- name: start_upload
UPDATE uploads SET status = 'IN_PROGRESS', updated_at = starts_at WHERE seq = :seq AND status = 'SUBMITTED';

-- name: uploads_to_end
SELECT * FROM uploads WHERE status IN ('SUBMITTED', 'IN_PROGRESS') AND ends_at <= :now ORDER BY ends_at, seq;

-- name: end_upload
UPDATE uploads SET status = :status, message = :message, rows = :rows, updated_at = ends_at
 WHERE seq = :seq AND status IN ('SUBMITTED', 'IN_PROGRESS');

-- name: forget_uploads
DELETE FROM uploads WHERE instance_id = :instance_id;

-- name: new_deletion
INSERT INTO deletions (deletion_id, instance_id, identities, number, status, created_at, updated_at, ends_at)
VALUES (:deletion_id, :instance_id, :identities, :number, 'PENDING', :now, :now, :ends_at);

-- name: deletion
SELECT * FROM deletions WHERE instance_id = :instance_id AND deletion_id = :deletion_id;

-- name: deletions
SELECT * FROM deletions WHERE instance_id = :instance_id AND seq > :after ORDER BY seq LIMIT :limit;

-- name: deletions_to_end
SELECT * FROM deletions WHERE status = 'PENDING' AND ends_at <= :now ORDER BY ends_at, seq;

-- name: end_deletion
UPDATE deletions SET status = 'SUCCEEDED', identities = '[]', updated_at = ends_at WHERE seq = :seq;

-- name: forget_deletions
DELETE FROM deletions WHERE instance_id = :instance_id;

-- name: keep_used
INSERT INTO used (instance_id, sources, window_start, window_end, fingerprint, at)
VALUES (:instance_id, :sources, :start, :end, :fingerprint, :at);

-- name: used
SELECT * FROM used WHERE instance_id = :instance_id AND at > :since ORDER BY at, seq;

-- name: forget_used
DELETE FROM used WHERE instance_id = :instance_id;

-- name: database
PRAGMA database_list;
