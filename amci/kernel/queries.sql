-- name: known_keys
-- Which of these idempotency keys have, or had, a run already.
SELECT key.value AS idempotency_key
  FROM json_each(:keys) AS key
 WHERE EXISTS (SELECT 1 FROM runs WHERE runs.idempotency_key = key.value)
    OR EXISTS (SELECT 1 FROM spent_keys WHERE spent_keys.idempotency_key = key.value);

-- name: spend_keys
INSERT OR IGNORE INTO spent_keys (idempotency_key, run_id)
SELECT idempotency_key, run_id FROM runs WHERE run_id IN (SELECT value FROM json_each(:run_ids));

-- name: orphan
UPDATE runs SET parent_run_id = NULL WHERE parent_run_id IN (SELECT value FROM json_each(:run_ids));

-- name: forget_events
DELETE FROM run_events WHERE run_id IN (SELECT value FROM json_each(:run_ids));

-- name: forget
DELETE FROM runs WHERE run_id IN (SELECT value FROM json_each(:run_ids));

-- name: create_run
INSERT INTO runs (idempotency_key, kind, status, priority, rank, is_ready, pool, tenant_id, lock_key, batch_key,
                  payload, correlation_id, parent_run_id, run_after, created_at, changed_at)
VALUES (?, ?, 'PENDING', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (idempotency_key) DO NOTHING;

-- name: fair_turns
-- The turn of tenants: what was claimed last of this kind and priority, or the tenant's own last rank if that is later.
SELECT tenant.key AS position,
       max(coalesce((SELECT rank FROM virtual_times WHERE kind = :kind AND priority = :priority), 0),
           coalesce(last_ranks.rank, 0)) AS rank
  FROM json_each(:tenant_ids) AS tenant
  LEFT JOIN last_ranks ON kind = :kind AND priority = :priority AND tenant_id = tenant.value;

-- name: remember_rank
INSERT INTO last_ranks (kind, priority, tenant_id, rank) VALUES (?, ?, ?, ?)
ON CONFLICT (kind, priority, tenant_id) DO UPDATE SET rank = excluded.rank;

-- name: promote
-- Runs whose moment has come join the line. They keep their rank where it is later than now; old ranks are spread
-- out from now on, so that a thousand retries of one tenant do not go before everybody else's new runs.
UPDATE runs SET is_ready = 1, rank = max(runs.rank, due.rank)
  FROM (SELECT waiting.run_id,
               coalesce(times.rank, 0) + row_number() OVER (
                   PARTITION BY waiting.priority, waiting.tenant_id ORDER BY waiting.rank, waiting.run_id) AS rank
          FROM runs AS waiting
          LEFT JOIN virtual_times AS times ON times.kind = waiting.kind AND times.priority = waiting.priority
         WHERE waiting.kind = :kind AND waiting.status = 'PENDING' AND waiting.is_ready = 0
           AND waiting.run_after <= :now) AS due
 WHERE runs.run_id = due.run_id;

-- name: is_due
-- Whether `promote` has anything to do; costs a tenth of it.
SELECT 1 FROM runs WHERE kind = :kind AND status = 'PENDING' AND is_ready = 0 AND run_after <= :now LIMIT 1;

-- name: claim_head
-- The run whose turn it is. Runs with the same lock_key go one after another, snoozed ones included.
-- A pool without room, or whose larger pool has none, holds back all but those that have their slot already.
-- The two conditions on locks stay apart: as one OR, SQLite would scan.
WITH used AS MATERIALIZED (
         SELECT pools.pool, pools.size, pools.parent,
                (SELECT count(*) FROM runs AS peer WHERE peer.pool = pools.pool AND peer.holds_slot = 1) AS held
           FROM pools),
     crowded AS MATERIALIZED (
         SELECT pool FROM pools
          WHERE EXISTS (SELECT 1 FROM pools AS child WHERE child.parent = pools.pool)
            AND size <= (SELECT sum(held) FROM used WHERE used.parent = pools.pool)),
     busy_pools AS MATERIALIZED (
         SELECT pool FROM used WHERE held >= size OR parent IN (SELECT pool FROM crowded))
SELECT r.run_id, r.kind, r.priority, r.rank, r.batch_key, r.pool, r.holds_slot, r.expiries
  FROM runs AS r
 WHERE r.kind = :kind AND r.status = 'PENDING' AND r.is_ready = 1
   AND NOT EXISTS (SELECT 1 FROM runs AS busy WHERE busy.lock_key = r.lock_key AND busy.status = 'RUNNING')
   AND NOT EXISTS (SELECT 1 FROM runs AS ahead WHERE ahead.lock_key = r.lock_key AND ahead.status = 'PENDING'
                                                 AND ahead.run_id < r.run_id)
   AND NOT EXISTS (SELECT 1 FROM busy_pools WHERE busy_pools.pool = r.pool AND r.holds_slot = 0)
 ORDER BY r.priority DESC, r.rank, r.run_id
 LIMIT 1;

-- name: claim_batch
-- Runs that may go together with the head. One that has outlived its lease before goes alone, so it is not here.
-- Only the first in line of a lock_key passes, so no two have the same one.
SELECT r.run_id, r.pool, r.holds_slot
  FROM runs AS r
 WHERE r.kind = :kind AND r.batch_key = :batch_key AND r.status = 'PENDING' AND r.is_ready = 1
   AND r.expiries = 0 AND r.run_id <> :head
   AND NOT EXISTS (SELECT 1 FROM runs AS busy WHERE busy.lock_key = r.lock_key AND busy.status = 'RUNNING')
   AND NOT EXISTS (SELECT 1 FROM runs AS ahead WHERE ahead.lock_key = r.lock_key AND ahead.status = 'PENDING'
                                                 AND ahead.run_id < r.run_id)
 ORDER BY r.priority DESC, r.rank, r.run_id;

-- name: pool_room
-- How many more runs a pool takes, and which larger pool it shares; no row where it has no size.
SELECT size - (SELECT count(*) FROM runs WHERE runs.pool = pools.pool AND runs.holds_slot = 1)
            - (SELECT count(*) FROM pools AS child CROSS JOIN runs ON runs.pool = child.pool
                WHERE child.parent = pools.pool AND runs.holds_slot = 1) AS room,
       parent
  FROM pools WHERE pool = :pool;

-- name: claim
UPDATE runs
   SET status = 'RUNNING', claims = claims + 1, is_ready = 0, holds_slot = pool <> '', worker = :worker, lease_until = :lease_until, leased_at = :now,
       reason = NULL, changed_at = :now
 WHERE run_id IN (SELECT value FROM json_each(:run_ids))
RETURNING *;

-- name: advance_time
INSERT INTO virtual_times (kind, priority, rank) VALUES (:kind, :priority, :rank)
ON CONFLICT (kind, priority) DO UPDATE SET rank = max(virtual_times.rank, excluded.rank);

-- name: finish
-- A worker that lost its lease, or whose run was cancelled, changes nothing.
UPDATE runs
   SET status = value ->> 'status', holds_slot = value ->> 'keeps_slot' AND pool <> '',
       result = value ->> 'result', reason = value ->> 'reason',
       attempts = attempts + (value ->> 'failed_tries'),
       run_after = coalesce(value ->> 'run_after', run_after),
       worker = NULL, lease_until = NULL, changed_at = :now
  FROM json_each(:changes)
 WHERE run_id = value ->> 'run_id' AND claims = value ->> 'claims' AND status = 'RUNNING'
RETURNING run_id, status, result, reason, attempts, run_after;

-- name: extend
UPDATE runs SET lease_until = ?, leased_at = ? WHERE run_id = ? AND claims = ? AND status = 'RUNNING';

-- name: recover
-- Nobody came back for these in time. They stay due since they were: how late one is taken up again can be told.
UPDATE runs
   SET status = CASE WHEN expiries + 1 >= :most THEN 'FAILED' ELSE 'PENDING' END,
       reason = CASE WHEN expiries + 1 >= :most THEN :abandoned ELSE :expired END,
       holds_slot = CASE WHEN expiries + 1 >= :most THEN 0 ELSE holds_slot END,
       expiries = expiries + 1, run_after = min(run_after, :now), worker = NULL, lease_until = NULL, changed_at = :now
 WHERE status = 'RUNNING' AND lease_until < :before
RETURNING *;

-- name: refused
-- Which of these runs do not exist (status NULL) or cannot make this move.
SELECT id.value AS run_id, r.status
  FROM json_each(:run_ids) AS id
  LEFT JOIN runs AS r ON r.run_id = id.value
 WHERE NOT EXISTS (SELECT 1 FROM run_moves WHERE old = r.status AND event = :event)
 LIMIT 1;

-- name: cancel
UPDATE runs
   SET status = 'CANCELLED', is_ready = 0, holds_slot = 0, reason = NULL, worker = NULL, lease_until = NULL, changed_at = :now
 WHERE run_id IN (SELECT value FROM json_each(:run_ids))
RETURNING *;

-- name: redrive
UPDATE runs
   SET status = 'PENDING', attempts = 0, expiries = 0, result = NULL, reason = NULL, run_after = :now,
       changed_at = :now
 WHERE run_id IN (SELECT value FROM json_each(:run_ids))
RETURNING *;

-- name: set_pool
INSERT INTO pools (pool, size, parent) VALUES (:pool, :size, :parent)
ON CONFLICT (pool) DO UPDATE SET size = excluded.size, parent = excluded.parent;

-- name: get
SELECT * FROM runs WHERE run_id = :run_id;

-- name: by_keys
SELECT * FROM runs WHERE idempotency_key IN (SELECT value FROM json_each(:keys)) ORDER BY run_id;

-- name: story
SELECT * FROM runs
 WHERE correlation_id = (SELECT correlation_id FROM runs WHERE run_id = :run_id)
 ORDER BY run_id;

-- name: events
SELECT event, reason, worker, at FROM run_events WHERE run_id = :run_id ORDER BY seq;

-- name: counts
SELECT kind, status, runs FROM run_counts WHERE runs > 0;

-- name: next_due
SELECT run_after FROM runs
 WHERE kind = :kind AND status = 'PENDING' AND is_ready = 0 AND run_after > :after
 ORDER BY run_after LIMIT 1;

-- name: count_of
SELECT coalesce(sum(runs), 0) AS runs FROM run_counts
 WHERE kind IN (SELECT value FROM json_each(:kinds)) AND status = :status;
