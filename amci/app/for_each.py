"""The run kind `for_each`: a fire of a schedule that executes a workflow once for each row of a query of the lake.

    fire ─► run `for_each` ─► earlier fires' executions ended? ─► query ─► one run `execute` for each row

The runs are created in the transaction that ends this one, so that a fire has all of them or none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self

from amci.kernel.clock import Clock
from amci.kernel.errors import AmciError, NoAccess, QueryError, UsageError
from amci.kernel.run import Done, Failed, Outcome, Run, Skipped, Snooze
from amci.kernel.state import State
from amci.kernel.worker import SingleHandler
from amci.tenants.model import Tenant, tenant_named
from amci.workflows.executions import fan_out
from amci.workflows.executions.run_factory import ExecuteTask

FOR_EACH = "for_each"
#: How often it looks whether executions of an earlier fire have ended.
_PAUSE = timedelta(minutes=1)
#: Runs that began with an earlier fire of this schedule; they have its correlation id.
_OPEN = """
    SELECT 1 FROM runs WHERE kind = 'execute' AND status IN ('PENDING', 'RUNNING')
       AND (correlation_id >= :fire AND correlation_id < :fire || char(0x10ffff)
            OR correlation_id >= :by_hand AND correlation_id < :by_hand || char(0x10ffff)) LIMIT 1"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForEachTask:
    """What a schedule asks for; its payload in the run store."""

    execute: (
        ExecuteTask  #: values of its parameters, and ends of its window, that are `:column` are the row's
    )
    schedule_id: str
    sql: str
    most: int  #: rows
    overlap: str
    lag: timedelta | None = None  #: attribution lag that is added to the window's end

    def payload(self) -> dict[str, Any]:
        """As JSON values."""
        own = {"schedule_id": self.schedule_id, "sql": self.sql, "most": self.most, "overlap": self.overlap}
        lag = {} if self.lag is None else {"lag_seconds": self.lag.total_seconds()}
        return {**self.execute.payload(), **own, **lag}

    @classmethod
    def of(cls, payload: Mapping[str, Any]) -> Self:
        """Inverse of `payload`."""
        lag = payload.get("lag_seconds")
        return cls(
            execute=ExecuteTask.of(payload),
            schedule_id=payload["schedule_id"],
            sql=payload["sql"],
            most=payload["most"],
            overlap=payload["overlap"],
            lag=None if lag is None else timedelta(seconds=lag),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ForEachHandler(SingleHandler):
    """Asks the lake, and creates the executions."""

    kind = FOR_EACH

    state: State
    tenants: Mapping[str, Tenant]
    #: The rows of a query, at most so many and one more; raises AmciError.
    rows: Callable[[str, int], Sequence[Mapping[str, Any]]]
    no_access: Callable[[Tenant], NoAccess | None]
    clock: Clock

    def outcome(self, run: Run) -> Outcome:
        """One fire of one tenant; a query that fails, or has too many rows, fails the fire."""
        task, tenant = ForEachTask.of(run.payload), tenant_named(self.tenants, run.tenant_id or "")
        if refused := self.no_access(tenant):
            return Skipped(f"{refused}; {refused.hint}")
        if task.overlap != "allow" and self._is_busy(task):
            says = "executions of an earlier fire have not ended"
            if task.overlap == "skip":
                return Skipped(says)
            now = self.clock.now()
            return Snooze(now + _PAUSE, says, asked_at=now)
        try:
            rows = self.rows(task.sql, task.most)
        except AmciError as error:
            if error.retryable:
                raise
            hint = error.hint or "correct for_each of the schedule"
            return Failed(QueryError(f"schedule {task.schedule_id}: its query failed: {error}", hint=hint))
        if len(rows) > task.most:
            raise UsageError(
                f"schedule {task.schedule_id}: its query has more than {task.most} rows, so nothing was executed",
                hint="narrow it, or raise most in config/schedules/",
            )
        plan = fan_out.for_each(
            [tenant],
            task.execute.request,
            rows,
            at=task.execute.at or run.created_at,
            schedule=task.execute.schedule,
            lag=task.lag,
            cap=task.most,
            # Each fire asks again for what earlier ones have asked for; a fire that is tried again does not.
            again=run.idempotency_key,
        )
        counts = {"rows": len(rows), "executions": len(plan.runs), "left_out": list(plan.left_out)}
        return Done(counts, then=plan.runs)

    def _is_busy(self, task: ForEachTask) -> bool:
        values = {"fire": f"fire:{task.schedule_id}@", "by_hand": f"by-hand:{task.schedule_id}@"}
        return bool(self.state.read(_OPEN, values))
