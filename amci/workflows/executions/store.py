"""The executions amci knows of: one row for each attempt of a run, and for what others asked of AMC."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from importlib import resources
from typing import Any, Self

from amci.kernel.clock import Clock, moment, timestamp
from amci.kernel.errors import NotFound
from amci.kernel.packing import unpacked
from amci.kernel.run import Run
from amci.kernel.state import State, named_queries
from amci.workflows.amc.model import Execution, ExecutionRequest, ExecutionStatus, TimeWindow, WindowType
from amci.workflows.executions.request_matching import content, fingerprint, window_text
from amci.workflows.executions.run_factory import request_document, request_from

_SQL = named_queries(
    (resources.files("amci.workflows.executions") / "executions.sql").read_text(encoding="utf-8")
)
_MOMENTS = (
    *(
        "submitting_at",
        "search_from",
        "created_at",
        "updated_at",
        "window_start",
        "window_end",
        "deadline_at",
    ),
    "changed_at",
    "first_sent_at",
)

#: A look that comes later than planned by more than this is late; less is the time that others take.
_LATE = timedelta(seconds=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionRecord:
    """An execution as it stands in our table."""

    execution_id: int  #: ours
    run_id: int | None  #: None: somebody else asked AMC for it
    attempt: int
    redrives: int
    tenant_id: str
    instance_id: str
    workflow_id: str  #: as AMC knows it
    name: str  #: the workflow as people know it
    schedule: str
    request: ExecutionRequest | None  #: as sent, its dates resolved; None: somebody else asked for it
    submitting_at: datetime | None  #: when its request was last sent
    search_from: datetime | None  #: since when what it made was created; None: since it was last sent
    workflow_execution_id: str | None  #: AMC's; None until it is known
    status: ExecutionStatus | None  #: None until AMC has it
    status_reason: str
    created_at: datetime | None  #: by AMC
    updated_at: datetime | None
    window_start: datetime | None
    window_end: datetime | None
    document: Mapping[str, Any] | None  #: all that AMC said last
    looks: int  #: at it, since it was last sent or found
    deadline_at: datetime | None
    key: str | None  #: of the result in raw/
    rows: int | None
    bytes: int | None
    sql_hash: (
        str | None
    )  #: of the SQL as it was sent; empty if only AMC has it, None if an older amci began it
    sends: int  #: how often its request went out and was not refused
    first_sent_at: datetime | None
    second_of: int | None  #: our `execution_id` of the request that made this one too
    submitted: Mapping[str, Any] | None  #: how it was last asked for: URL, time, status of the answer
    answered: Mapping[str, Any] | None  #: the same of AMC's newest answer about it
    changed_at: datetime

    @classmethod
    def of(cls, row: sqlite3.Row) -> Self:
        """A row of `executions`."""
        values: dict[str, Any] = {name: row[name] for name in cls.__slots__}
        values["status"] = ExecutionStatus(values["status"]) if values["status"] else None
        values |= {name: moment(values[name]) for name in _MOMENTS if values[name]}
        values["request"] = request_from(json.loads(values["request"])) if values["request"] else None
        for name in ("document", "submitted", "answered"):
            values[name] = unpacked(json.loads(values[name])) if values[name] else None
        return cls(**values)

    @property
    def sent_request(self) -> ExecutionRequest:
        """The request as sent; if somebody else sent it, no more than its workflow."""
        return self.request or ExecutionRequest(workflow_id=self.workflow_id)

    @property
    def is_over(self) -> bool:
        """Whether AMC will do nothing more about it and there is nothing to fetch."""
        return bool(self.status and self.status.is_final and self.status is not ExecutionStatus.SUCCEEDED)

    @property
    def is_in_amc(self) -> bool:
        """Whether AMC has it, or may have it, and has not ended it as far as we know."""
        may_have = self.workflow_execution_id is not None or self.submitting_at is not None
        return may_have and not (self.status and self.status.is_final)

    @property
    def may_go_on(self) -> bool:
        """Whether AMC has or may have something of it that its run still waits for: an answer, an end, a result."""
        return self.is_in_amc or self.status is ExecutionStatus.SUCCEEDED


class SendDecision(Enum):
    """Whether a request may be sent now."""

    SEND = auto()
    WAIT = auto()  #: for one that AMC would show alike
    STOP = auto()  #: its run was cancelled, or another worker has it


class ExecutionStore:
    """All SQL about executions; every change is one transaction."""

    def __init__(self, state: State, clock: Clock) -> None:
        self._state = state
        self._clock = clock

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the block or nothing, runs included."""
        with self._state.transaction():
            yield

    def newest(self, run_ids: Iterable[int]) -> dict[int, ExecutionRecord]:
        """The newest attempt of each of these runs that has one."""
        found = map(
            ExecutionRecord.of, self._state.read(_SQL["newest"], {"run_ids": json.dumps(list(run_ids))})
        )
        return {row.run_id: row for row in found if row.run_id is not None}

    def redrives(self, run_ids: Iterable[int]) -> dict[int, int]:
        """How often each of these runs was redriven; none is left out if it was not."""
        rows = self._state.read(_SQL["redrives"], {"run_ids": json.dumps(list(run_ids))})
        return {row["run_id"]: row["redrives"] for row in rows}

    def begin(
        self,
        run: Run,
        instance_id: str,
        request: ExecutionRequest,
        *,
        name: str,
        schedule: str,
        attempt: int,
        redrives: int,
        sql_hash: str,
        lasting: timedelta,
    ) -> ExecutionRecord:
        """Note a new attempt; `request` is what will be sent, `name` the workflow as people know it."""
        values = {
            "run_id": run.run_id,
            "attempt": attempt,
            "redrives": redrives,
            "tenant_id": run.tenant_id,
            "instance_id": instance_id,
            "workflow_id": request.workflow_id,
            "name": name,
            "schedule": schedule,
            "request": json.dumps(request_document(request), ensure_ascii=False),
            "content": content(name, request),
            "fingerprint": fingerprint(request),
            "time_window": window_text(request),
            "sql_hash": sql_hash,
            "deadline_at": timestamp(self._clock.now() + lasting),
        }
        return self._changed("begin", values)

    def go_on(self, row: ExecutionRecord, *, redrives: int, lasting: timedelta) -> ExecutionRecord:
        """A redriven run takes up the execution it has, with a new deadline."""
        deadline = timestamp(self._clock.now() + lasting)
        return self._change(row, "go_on", redrives=redrives, deadline_at=deadline)

    def submitting(
        self, row: ExecutionRecord, run: Run, *, unsettled: timedelta
    ) -> tuple[SendDecision, ExecutionRecord]:
        """Note that the request is about to be sent, if it may be.

        It waits while another one that AMC would show alike was sent less than `unsettled` ago and has no id
        yet; so what is found in AMC after an unknown outcome can only be one's own.
        """
        with self._state.transaction() as db:
            since = timestamp(self._clock.now() - unsettled)
            own = {"run_id": run.run_id, "claims": run.claims, "execution_id": row.execution_id}
            values = {**own, "since": since}
            may_be = db.execute(_SQL["may_be_sent"], values).fetchone()
            if not may_be["is_ours"]:
                return SendDecision.STOP, row
            if may_be["is_confusable"]:
                return SendDecision.WAIT, row
            return SendDecision.SEND, self._put(db, "submitting", {"execution_id": row.execution_id})

    def came_late(self, row: ExecutionRecord, run: Run, now: datetime) -> ExecutionRecord:
        """The row, its times moved by as much as this look at it is late: `run` was to be looked at before `now`.

        Whether the clock was set forward or nothing ran, that time does not count: the deadline is as far off as it
        was to be at this look. The time in which an execution is looked for begins once more; if that is late as well,
        it goes on.
        """
        late = now - run.run_after
        if late <= _LATE or row.is_over:
            return row
        return self._change(
            row,
            "came_late",
            deadline_at=timestamp(row.deadline_at + late) if row.deadline_at else None,
            submitting_at=timestamp(row.submitting_at + late) if row.submitting_at else None,
        )

    def not_submitted(self, row: ExecutionRecord) -> ExecutionRecord:
        """Note that AMC did not take the request."""
        return self._change(row, "not_submitted")

    def not_found(self, row: ExecutionRecord) -> ExecutionRecord:
        """Note that AMC does not show what the request may have made, and that it is not sent again."""
        return self._change(row, "not_found")

    def second(self, row: ExecutionRecord, of: ExecutionRecord, reason: str) -> ExecutionRecord:
        """Note, also in the history of its run, that the request of `of` made this execution too."""
        with self._state.transaction() as db:
            note = {"run_id": of.run_id, "reason": reason, "now": self._now()}
            db.execute(_SQL["note_second"], note)
            return self._change(row, "second", second_of=of.execution_id)

    def may_have_more(self, instance_id: str, since: datetime) -> list[ExecutionRecord]:
        """Requests sent since then that AMC may have carried out more often than it has shown."""
        values = {"instance_id": instance_id, "since": timestamp(since)}
        return [ExecutionRecord.of(row) for row in self._state.read(_SQL["may_have_more"], values)]

    def unclaimed(self, instance_id: str, since: datetime) -> set[str]:
        """AMC's ids of executions, created since then, that no request of ours is known to have made."""
        values = {"instance_id": instance_id, "since": timestamp(since)}
        return {row["workflow_execution_id"] for row in self._state.read(_SQL["unclaimed"], values)}

    def twice(self, *, alive: bool = False) -> int:
        """How many second executions requests of ours have made; only those that AMC has not ended, if `alive`."""
        row = self._state.read(_SQL["twice"])[0]
        return int(row["alive"] if alive else row["executions"])

    def submitted(self, row: ExecutionRecord, exchange: Mapping[str, Any] | None) -> ExecutionRecord:
        """Note how the request was answered, if it went out."""
        return self._change(row, "submitted", submitted=json.dumps(exchange)) if exchange else row

    def looked(self, row: ExecutionRecord, exchange: Mapping[str, Any] | None = None) -> ExecutionRecord:
        """Note a look that brought nothing new, and how AMC answered it."""
        return self._change(row, "looked", answered=json.dumps(exchange) if exchange else None)

    def take(
        self, row: ExecutionRecord, execution: Execution, *, submitted: Mapping[str, Any] | None = None
    ) -> ExecutionRecord | None:
        """Note that this execution is that of the row; None if another run has it already.

        `submitted`: how the request was answered, which is noted in any case. Reconciliation may have met the execution
        before, as somebody else's.
        """
        key = {"instance_id": row.instance_id, "workflow_execution_id": execution.workflow_execution_id}
        with self._state.transaction() as db:
            owner = db.execute(_SQL["owner"], key).fetchone()
            if owner and owner["run_id"] is not None and owner["execution_id"] != row.execution_id:
                self.submitted(row, submitted)
                return None
            if owner and owner["run_id"] is None:
                db.execute(_SQL["forget"], {"execution_id": owner["execution_id"]})
            values = key | _seen(execution) | {"submitted": json.dumps(submitted) if submitted else None}
            return self._put(db, "take", {"execution_id": row.execution_id, **values})

    def see(self, row: ExecutionRecord, execution: Execution, *, looks: int = 1) -> ExecutionRecord:
        """Note what AMC says of it."""
        return self._change(row, "see", looks=looks, **_seen(execution))

    def end(self, row: ExecutionRecord, status: ExecutionStatus, reason: str) -> ExecutionRecord:
        """Note how it ended if AMC shows no execution that could say it."""
        return self._change(row, "end", status=status.value, status_reason=reason)

    def deliver(self, row: ExecutionRecord, *, key: str, rows: int, size: int) -> ExecutionRecord:
        """Note that the result is in raw/: its key, data rows and bytes."""
        return self._change(row, "deliver", key=key, rows=rows, bytes=size)

    def note_foreign(self, tenant_id: str, instance_id: str, execution: Execution) -> ExecutionRecord:
        """Note an execution that no run of ours asked for."""
        request = _request_of(execution)
        with self._state.transaction():
            row = self._changed(
                "note_foreign",
                {
                    "tenant_id": tenant_id,
                    "instance_id": instance_id,
                    "workflow_id": execution.workflow_id,
                    "content": content(request.workflow_id, request),
                    "fingerprint": fingerprint(request),
                    "time_window": window_text(request),
                    "workflow_execution_id": execution.workflow_execution_id,
                },
            )
            return self.see(row, execution)

    def owned(self, instance_id: str, ids: Collection[str]) -> set[str]:
        """Which of these executions of AMC's belong to runs of ours."""
        values = {"instance_id": instance_id, "ids": json.dumps(list(ids))}
        return {row["workflow_execution_id"] for row in self._state.read(_SQL["owned"], values)}

    def is_known(self, instance_id: str, workflow_execution_id: str) -> bool:
        """Whether there is a row for this execution of AMC's."""
        key = {"instance_id": instance_id, "workflow_execution_id": workflow_execution_id}
        return bool(self._state.read(_SQL["owner"], key))

    def get(self, execution_id: int) -> ExecutionRecord:
        """The row with this id; raises NotFound."""
        return self._one("get", str(execution_id), execution_id=execution_id)

    def of_run(self, run_id: int) -> Sequence[ExecutionRecord]:
        """The attempts of a run, newest first."""
        return [ExecutionRecord.of(row) for row in self._state.read(_SQL["of_run"], {"run_id": run_id})]

    def by_amc(self, workflow_execution_id: str) -> ExecutionRecord:
        """The execution with this id of AMC's; raises NotFound."""
        return self._one("by_amc", workflow_execution_id, workflow_execution_id=workflow_execution_id)

    def to_reconcile(self, tenant_id: str, since: datetime) -> Sequence[ExecutionRecord]:
        """What AMC should still know of a tenant's executions: not ended, or created since then."""
        values = {"tenant_id": tenant_id, "since": timestamp(since)}
        return [ExecutionRecord.of(row) for row in self._state.read(_SQL["to_reconcile"], values)]

    def list(
        self,
        *,
        tenants: Collection[str] = (),
        status: ExecutionStatus | None = None,
        workflow: str | None = None,
        limit: int = 50,
    ) -> Sequence[ExecutionRecord]:
        """The newest that fit, newest first."""
        values = {
            "tenants": json.dumps(list(tenants)),
            "status": status,
            "workflow": workflow,
            "limit": limit,
        }
        return [ExecutionRecord.of(row) for row in self._state.read(_SQL["list"], values)]

    def in_amc(self) -> int:
        """How many of ours AMC has and has not ended, as far as we know."""
        return int(self._state.read(_SQL["in_amc"])[0]["executions"])

    def summary(self, tenant_id: str, since: datetime) -> Mapping[str, Any]:
        """Executions that AMC created since then by status, in the words of the AWS solution (aws-solution 2.3)."""
        values = {"tenant_id": tenant_id, "since": timestamp(since)}
        found = {row["status"]: row["executions"] for row in self._state.read(_SQL["summary"], values)}
        counts = {status: found.get(status, 0) for status in ExecutionStatus}
        # The solution overlooked PUBLISHING, which takes a slot too (K-32).
        running = counts[ExecutionStatus.RUNNING] + counts[ExecutionStatus.PUBLISHING]
        return {
            "executionsSince": timestamp(since)[:19] + "Z",
            "totalExecutions": sum(found.values()),
            "totalRunningorPending": running + counts[ExecutionStatus.PENDING],
            "succeededExecutions": counts[ExecutionStatus.SUCCEEDED],
            "runningExecutions": running,
            "pendingExecutions": counts[ExecutionStatus.PENDING],
            "failedExecutions": counts[ExecutionStatus.FAILED],
            "rejectedExecutions": counts[ExecutionStatus.REJECTED],
            "cancelledExecutions": counts[ExecutionStatus.CANCELLED],
        }

    def resubmittable(self, since: datetime) -> Sequence[ExecutionRecord]:
        """Ours that failed since then, but for those whose equal has succeeded or is on its way; no two equal."""
        return [
            ExecutionRecord.of(r)
            for r in self._state.read(_SQL["resubmittable"], {"since": timestamp(since)})
        ]

    def _one(self, query: str, said: str, **values: Any) -> ExecutionRecord:
        rows = self._state.read(_SQL[query], values)
        if not rows:
            raise NotFound(f"there is no execution {said}", hint="`amci exec list` shows them")
        return ExecutionRecord.of(rows[0])

    def _now(self) -> str:
        return timestamp(self._clock.now())

    def _change(self, row: ExecutionRecord, query: str, **values: Any) -> ExecutionRecord:
        return self._changed(query, {"execution_id": row.execution_id, **values})

    def _changed(self, query: str, values: Mapping[str, Any]) -> ExecutionRecord:
        with self._state.transaction() as db:
            return self._put(db, query, values)

    def _put(self, db: sqlite3.Connection, query: str, values: Mapping[str, Any]) -> ExecutionRecord:
        """Change a row inside of a transaction."""
        return ExecutionRecord.of(db.execute(_SQL[query], {**values, "now": self._now()}).fetchone())


def _seen(execution: Execution) -> dict[str, Any]:
    """What AMC says of an execution, as values of a row."""
    return {
        "status": execution.status.value,
        "status_reason": execution.status_reason,
        "created_at": _text(execution.created_at),
        "updated_at": _text(execution.updated_at),
        "window_start": _text(execution.window_start),
        "window_end": _text(execution.window_end),
        "document": json.dumps(execution.raw, ensure_ascii=False, default=str),
        "answered": json.dumps(execution.exchange) if execution.exchange else None,
    }


def _text(at: datetime | None) -> str | None:
    return timestamp(at) if at else None


def _request_of(execution: Execution) -> ExecutionRequest:
    """What must have been asked for, as far as AMC shows it."""
    window = TimeWindow(
        type=WindowType.EXPLICIT,
        start=execution.window_start_local,
        end=execution.window_end_local,
        time_zone=execution.time_zone,
    )
    return ExecutionRequest(
        workflow_id=execution.workflow_id, window=window, parameter_values=execution.parameter_values
    )
