"""Many executions of one workflow: one for each window of a backfill, or for each row of a query."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from amci.kernel.errors import UsageError
from amci.kernel.run import NewRun, RunStatus
from amci.kernel.runs import RunStore
from amci.kernel.text import utf8
from amci.tenants.model import Tenant
from amci.workflows.amc.model import ExecutionRequest, TimeWindow, WindowType
from amci.workflows.definitions.time_windows import FRESHNESS, nearest_hour
from amci.workflows.executions.run_factory import execute_run, request_document
from amci.workflows.executions.store import ExecutionRecord, ExecutionStore

#: More executions than this at once have to be wanted.
CAP = 100
_FROM_ROW = ":"


@dataclass(frozen=True, slots=True)
class Planned:
    """What would be asked for."""

    runs: Sequence[NewRun]
    left_out: Sequence[str] = ()  #: why rows have no run


def backfill(
    tenants: Iterable[Tenant],
    request: ExecutionRequest,
    windows: Iterable[TimeWindow],
    *,
    at: datetime,
    schedule: str,
    cap: int = CAP,
    again: str = "",
) -> Planned:
    """One run for each tenant and window.

    The same tenant, request and window make the same run, so that repeating this asks for nothing twice; `again`
    makes them others. Raises UsageError if they are more than `cap`.
    """
    requests = [replace(request, window=window) for window in windows]
    return Planned(_runs(list(tenants), requests, at, schedule, cap, again))


def for_each(
    tenants: Iterable[Tenant],
    request: ExecutionRequest,
    rows: Iterable[Mapping[str, Any]],
    *,
    at: datetime,
    schedule: str,
    lag: timedelta | None = None,
    cap: int = CAP,
    again: str = "",
) -> Planned:
    """One run for each tenant and row, repeatable as `backfill` is.

    A parameter value, or an end of the window, that is `:column` takes the row's value of that column. `lag`:
    the ends are rounded to hours, and the later one moves by so much, for what is attributed late, but never
    into the two days of which AMC's data are not complete (aws-solution 10); a window that is empty then is left
    out. Raises UsageError for a column that is not there or has no value, and for more than `cap`.
    """
    requests, left_out = [], []
    for number, row in enumerate(rows, start=1):
        bound = _bound(request, row, number)
        if lag is not None:
            bound = replace(bound, window=lagged(bound.window, lag, at))
            if (bound.window.start or "") >= (bound.window.end or ""):
                left_out.append(f"row {number}: AMC has no complete data of its window yet")
                continue
        requests.append(bound)
    return Planned(_runs(list(tenants), requests, at, schedule, cap, again), left_out)


def resubmittable(executions: ExecutionStore, runs: RunStore, since: datetime) -> list[ExecutionRecord]:
    """Ours that failed since then and can be redriven: no equal one has succeeded or is on its way, no two equal.

    Executions that others asked for are theirs to repeat.
    """
    rows = executions.resubmittable(since)
    return [row for row in rows if row.run_id is not None and runs.get(row.run_id).status is RunStatus.FAILED]


def lagged(window: TimeWindow, lag: timedelta, at: datetime) -> TimeWindow:
    """The window in whole hours with its end later by `lag`, but not beyond complete data; raises UsageError."""
    if window.type is not WindowType.EXPLICIT or not window.start or not window.end:
        raise UsageError("an attribution lag needs a window with start and end", hint="--window :start..:end")
    try:
        start, end = (nearest_hour(datetime.fromisoformat(text)) for text in (window.start, window.end))
    except ValueError:
        raise UsageError(
            f"'{window.start}' to '{window.end}' is not a window that a lag can be added to",
            hint="use dates, or columns with dates",
        ) from None
    latest = (at - FRESHNESS).replace(minute=0, second=0, microsecond=0)
    ends = min(end.replace(tzinfo=None) + lag, latest.replace(tzinfo=None))
    return replace(
        window,
        start=start.replace(tzinfo=None).isoformat(timespec="seconds"),
        end=ends.isoformat(timespec="seconds"),
    )


def content_key(tenant: Tenant, request: ExecutionRequest, schedule: str, again: str = "") -> str:
    """The key of a run that is to happen once for what it asks."""
    asked = [tenant.tenant, tenant.instance_id, schedule, request_document(request), again]
    text = json.dumps(asked, sort_keys=True, ensure_ascii=False, default=str)
    return f"execute:{tenant.tenant}/{request.workflow_id}:{hashlib.sha256(utf8(text)).hexdigest()[:32]}"


def _runs(
    tenants: Sequence[Tenant],
    requests: Sequence[ExecutionRequest],
    at: datetime,
    schedule: str,
    cap: int,
    again: str,
) -> list[NewRun]:
    runs = {run.idempotency_key: run for run in _all_runs(tenants, requests, at, schedule, again)}
    if len(runs) > cap:
        raise UsageError(
            f"that makes {len(runs)} executions, and at most {cap} are started at once",
            hint=f"look at them with --dry-run, then say --cap {len(runs)} or --yes",
        )
    return list(runs.values())


def _all_runs(
    tenants: Sequence[Tenant], requests: Sequence[ExecutionRequest], at: datetime, schedule: str, again: str
) -> Iterator[NewRun]:
    for tenant in tenants:
        for request in requests:
            key = content_key(tenant, request, schedule, again)
            yield execute_run(tenant, request, key=key, at=at, schedule=schedule)


def _bound(request: ExecutionRequest, row: Mapping[str, Any], number: int) -> ExecutionRequest:
    window = request.window
    return replace(
        request,
        parameter_values={
            name: _value(value, row, number) for name, value in request.parameter_values.items()
        },
        window=replace(
            window,
            start=_moment(_value(window.start, row, number)),
            end=_moment(_value(window.end, row, number)),
        ),
    )


def is_column(value: Any) -> bool:
    """Whether a value stands for that of a row's column: `:column`."""
    return isinstance(value, str) and value.startswith(_FROM_ROW) and len(value) > 1


def _value(value: Any, row: Mapping[str, Any], number: int) -> Any:
    """The value, or that of the row's column it names, as JSON has it."""
    if not is_column(value):
        return value
    column = value[1:]
    if column not in row:
        raise UsageError(f"the query has no column '{column}'", hint=f"it has {', '.join(row)}")
    if row[column] is None:
        raise UsageError(f"row {number} has no value in column '{column}'", hint="leave it out in the query")
    return _plain(row[column])


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat(timespec="seconds")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, bool | int | float | str) else str(value)


def _moment(value: Any) -> str | None:
    return None if value is None else str(value)
