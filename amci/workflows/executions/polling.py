"""Looking at executions: how long to wait between two looks, one request for many, and finding what was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

from amci.kernel.config import AmcSettings
from amci.kernel.errors import Refused, RemoteError
from amci.workflows.amc.model import Execution
from amci.workflows.executions.request_matching import is_like
from amci.workflows.executions.store import ExecutionRecord, ExecutionStore

if TYPE_CHECKING:
    from amci.workflows.amc.client import AmcClient

_GROWTH = 1.5
_PAGE = 100
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

#: What a look brought: the execution, None if AMC has none, or why it is unknown.
Seen = Execution | None | RemoteError


def pause(settings: AmcSettings, looks: int) -> timedelta:
    """How long to wait after so many looks; grows by half each time."""
    # Beyond 60 looks the longest pause has long been reached, and floats would overflow.
    return min(settings.poll_first * _GROWTH ** min(looks, 60), settings.poll_longest)


def may_yet_show(settings: AmcSettings, row: ExecutionRecord, at: datetime) -> bool:
    """Whether AMC may show it later: it may do so a moment after it has promised it."""
    return at < (row.search_from or row.submitting_at or row.changed_at) + settings.adopt_within


def is_gone(settings: AmcSettings, row: ExecutionRecord, at: datetime) -> bool:
    """Whether AMC has forgotten an execution that it does not show to the run that follows it.

    The pauses between the looks count as well: the clock alone may have been set forward.
    """
    looked_for = paused(settings, row.looks)
    is_looked_for = looked_for >= settings.adopt_within or not settings.poll_first
    return is_looked_for and not may_yet_show(settings, row, at)


def paused(settings: AmcSettings, looks: int) -> timedelta:
    """How long all pauses before so many looks were together, at least."""
    growing = sum((pause(settings, look) for look in range(min(looks, 60))), timedelta())
    return growing + settings.poll_longest * max(looks - 60, 0)


def next_look(settings: AmcSettings, looks: int, now: datetime) -> datetime:
    """When to look again: at most a pause away, on a common beat, so that one request answers for many runs."""
    due, beat = now + pause(settings, looks), settings.poll_first
    common = due - (due - _EPOCH) % beat if beat else due
    return common if common > now else due


def look(client: AmcClient, rows: Sequence[ExecutionRecord]) -> dict[int, Seen]:
    """How the executions of one instance stand, by our `execution_id`.

    Several are asked for in one list, newest first, that is followed no further than asking one by one would
    cost; those not in it are asked for one by one.
    """
    wanted = {row.workflow_execution_id: row for row in rows if row.workflow_execution_id}
    seen: dict[int, Seen] = {}
    if len(wanted) > 1:
        try:
            for execution in islice(client.executions(_oldest(rows)), _PAGE * len(wanted)):
                if row := wanted.pop(execution.workflow_execution_id, None):
                    seen[row.execution_id] = execution
                if not wanted:
                    break
        except Refused:
            # One execution that amci cannot read must not hide the others.
            pass
        except RemoteError as error:
            return seen | {row.execution_id: error for row in wanted.values()}
    return seen | {row.execution_id: _one(client, row) for row in wanted.values()}


def _one(client: AmcClient, row: ExecutionRecord) -> Seen:
    try:
        return client.execution(row.workflow_execution_id or "")
    except RemoteError as error:
        return error


def _oldest(rows: Sequence[ExecutionRecord]) -> datetime:
    return (
        min(row.created_at or row.search_from or row.submitting_at or row.changed_at for row in rows) - SKEW
    )


#: AMC's clock and ours may differ by so much.
SKEW = timedelta(minutes=2)


def adopted(client: AmcClient, executions: ExecutionStore, row: ExecutionRecord) -> ExecutionRecord | None:
    """The row with the execution its last request made, as far as AMC shows it by now; None if it does not.

    Of several that could be it, the oldest that no other run has. Raises RemoteError.
    """
    if row.request is None or row.submitting_at is None:
        return None
    made = client.executions((row.search_from or row.submitting_at) - SKEW, row.workflow_id)
    alike = [execution for execution in made if is_like(row.request, execution)]
    owned = executions.owned(row.instance_id, [execution.workflow_execution_id for execution in alike])
    for execution in reversed(alike):
        if execution.workflow_execution_id in owned:
            continue
        if taken := executions.take(row, execution):
            return taken
    return None
