"""One execution, one step on: find or submit, look, fetch. Each step ends in an outcome; none waits.

Whatever is killed when, a run makes one execution in AMC: that a request is about to be sent is written before
it is, and a request without an answer looks for what it may have made before it is sent again.

What may be raised once a request is out, and what becomes of the run:

| where                                   | what                                         | then                       |
|-----------------------------------------|----------------------------------------------|----------------------------|
| the POST                                | AMC refused: Refused, Throttled, AuthError   | failed, or sent later      |
|                                         | never sent: Unavailable, UsageError          | sent later, or failed      |
|                                         | OutcomeUnknown, an answer nobody can read    | looked for, then sent      |
|                                         | anything else, as from a recording           | looked for, then sent      |
| tenant, account or workflow in config   | NotFound, UsageError, ConfigError            | goes on later              |
| a look, a list, a cancellation          | Refused, Unavailable, an unreadable answer   | goes on later              |
|                                         | AuthError                                    | failed; a redrive goes on  |
| links, download, columns, note, folder  | Refused, DataError, Unavailable, the disk    | goes on later              |
| the state file                          | StorageError                                 | the worker tries it again  |
| amci itself                             | anything                                     | goes on later              |

Later is on the beat of looks, until the deadline and its grace are over; a redrive goes on even then.

Deadlines count the time in which amci looked. A look that comes late, because the clock was set forward or the machine
slept, first moves them by as much (`ExecutionStore.came_late`), and AMC is asked before anything is given up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amci.kernel import log
from amci.kernel.clock import spelled
from amci.kernel.errors import (
    AmciError,
    AuthError,
    ConfigError,
    ExecutionFailed,
    OutcomeUnknown,
    Refused,
    RemoteError,
    Throttled,
    UsageError,
)
from amci.kernel.files import fault_point
from amci.kernel.run import Done, Failed, NewRun, Outcome, Run, Skipped, Snooze, reason_for
from amci.tenants.model import Tenant
from amci.workflows.amazon.answers import LinkExpired
from amci.workflows.amazon.circuit_breaker import CircuitOpen
from amci.workflows.amc.model import Execution, ExecutionStatus
from amci.workflows.definitions.definition import Workflow
from amci.workflows.executions import polling, results
from amci.workflows.executions.handler_context import HandlerContext
from amci.workflows.executions.polling import Seen, adopted
from amci.workflows.executions.reconcile import reconcile_run
from amci.workflows.executions.request_resolution import sql_hash_of
from amci.workflows.executions.store import ExecutionRecord, SendDecision

if TYPE_CHECKING:
    from amci.workflows.amc.client import AmcClient

GONE = "AMC does not know the execution any more"
_NO_RESULT = "AMC does not hand out its result"
_LOOKING = "AMC did not answer; looking whether it has the execution"
#: HTTP statuses of a result that is not there yet or whose links expired (amc-api 1.5, 2.2).
_NOT_TO_BE_HAD = (403, 404)
_log = log.get("execute")

#: So many times as long as an execution is looked for, one may come late that its request made first.
_LATE = 10
#: So many of the longest pauses a run outlasts its deadline if AMC cannot be asked to cancel.
_GRACE = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionWork:
    """One run with its execution, whose it is, and whom to ask."""

    run: Run
    tenant: Tenant
    client: AmcClient
    row: ExecutionRecord
    #: When this step began. Only this is compared with deadlines: the clock may jump while AMC is being asked.
    at: datetime


@dataclass(frozen=True, slots=True)
class Fetched:
    """One whose execution has succeeded, with its result in raw/, or none if it was to have none."""

    work: ExecutionWork
    there: results.Delivered | None  #: None if our row has it already


@dataclass(frozen=True, slots=True)
class Steps:
    """What is done next about an execution."""

    shared: HandlerContext
    workflows: Mapping[str, Workflow]
    folder_of: Callable[[Tenant], Path]

    def noted(self, work: ExecutionWork, seen: Seen) -> ExecutionWork:
        """With its row as AMC shows the execution, if AMC was asked and answered."""
        row = work.row
        is_known = row.workflow_execution_id is None or (row.status and row.status.is_final)
        return work if is_known or isinstance(seen, RemoteError) else self._noted(work, seen)

    def done(self, fetched: Fetched) -> Done:
        """Note where the result lies. A batch does so at once: until then it is known by the note beside it."""
        work, there = fetched.work, fetched.there
        row = work.row
        if there:
            row = self.shared.executions.deliver(row, key=there.key, rows=there.rows, size=there.bytes)
        return Done(_result(row), then=self._looks_for_more(work.tenant, row))

    def advance(self, work: ExecutionWork, seen: Seen) -> Outcome | Fetched:
        """The next step after `noted`; `seen` is how the execution stands in AMC, if AMC was asked."""
        try:
            return self._advance(work, seen)
        except Exception as error:  # noqa: BLE001 - what AMC has begun goes on, whatever fails here
            return self.after(self.shared.executions.get(work.row.execution_id), error, work.at)

    def after(self, row: ExecutionRecord | None, error: Exception, at: datetime) -> Outcome:
        """What an error means for a run: it goes on later once AMC has, or may have, what was asked for.

        But not if Amazon refuses the login: a person has to do something, and a redrive goes on. `at`: when the
        step began.
        """
        is_passing = isinstance(error, RemoteError) and error.retryable
        if row is None or isinstance(error, AuthError) or not (row.may_go_on or is_passing):
            return Failed(error)
        if not isinstance(error, AmciError):
            _log.error("step failed", execution_id=row.execution_id, exc_info=error)
        return self._later(row, error, at)

    def _later(self, row: ExecutionRecord, error: Exception, at: datetime) -> Outcome:
        """Try again after a while; long past the deadline it is enough."""
        now = self.shared.clock.now()
        if at >= self._deadline(row) + self._grace:
            what = "AMC could not be asked" if isinstance(error, RemoteError) else "it could not go on"
            return Failed(
                RemoteError(
                    f"{what} in time: {reason_for(error)}", hint=f"`amci redrive {row.run_id}` goes on"
                )
            )
        row = self.shared.executions.looked(row, getattr(error, "exchange", None))
        until = max(now + polling.pause(self.shared.settings, row.looks - 1), _asked_for(error, now))
        return Snooze(until, reason_for(error), keeps_slot=row.is_in_amc, asked_at=now)

    def _advance(self, work: ExecutionWork, seen: Seen) -> Outcome | Fetched:
        row = work.row
        if row.is_over:
            return self._ended(row)
        if row.workflow_execution_id is None:
            submitted = self._submitted(work)
            if not isinstance(submitted, ExecutionRecord):
                return submitted
            row = submitted
        elif isinstance(seen, RemoteError):
            raise seen
        return self._followed(replace(work, row=row))

    def _followed(self, work: ExecutionWork) -> Outcome | Fetched:
        row = work.row
        if row.status is ExecutionStatus.SUCCEEDED:
            return self._delivered(work)
        if row.is_over:
            return self._ended(row)
        if work.at >= self._deadline(row):
            return self._given_up(work)
        return self._look_again(row, self.shared.clock.now())

    def _look_again(self, row: ExecutionRecord, now: datetime) -> Snooze:
        until = min(polling.next_look(self.shared.settings, row.looks, now), self._deadline(row))
        return Snooze(max(until, now), f"AMC: {row.status}", keeps_slot=True, asked_at=now)

    def _submitted(self, work: ExecutionWork) -> ExecutionRecord | Outcome:
        """The row once AMC has its execution, or how to go on."""
        row, now, settle = work.row, self.shared.clock.now(), self.shared.settings.adopt_within
        if row.submitting_at is not None:
            if found := adopted(work.client, self.shared.executions, row):
                return found
            settled_at = row.submitting_at + settle
            if work.at < settled_at:
                pause = polling.pause(self.shared.settings, row.looks)
                self.shared.executions.looked(row)
                return Snooze(min(now + pause, settled_at), _LOOKING, keeps_slot=True, asked_at=now)
        if work.at >= self._deadline(row):
            return self._unsent(work, row)
        go, row = self.shared.executions.submitting(row, work.run, unsettled=settle)
        if go is SendDecision.SEND:
            # Before it is sent: whatever is killed when, the first one is looked for.
            if more := self._looks_for_more(work.tenant, row):
                self.shared.queue(more)
            return self._sent(work.client, row)
        reason = (
            "an equal request is on its way" if go is SendDecision.WAIT else "cancelled, or in other hands"
        )
        return Snooze(now + polling.pause(self.shared.settings, 0), reason, asked_at=now)

    def _unsent(self, work: ExecutionWork, row: ExecutionRecord) -> Failed:
        """Its deadline is over, and AMC is not known to have it."""
        took = spelled(self.shared.settings.deadline)
        answered = (row.submitted or {}).get("status")
        row = self.shared.executions.not_found(row)
        hint = f"`amci redrive {row.run_id}` asks for it again"
        if row.sends:
            says = f"AMC showed no execution of the request within {took}; it may carry it out yet"
            self.shared.queue([self._looks_later(work.tenant)])
        elif answered:
            phrase = next((each.phrase for each in HTTPStatus if each == answered), "")
            says = f"AMC answered {f'{answered} {phrase}'.rstrip()} for {took}"
            hint = f"nothing is wrong with the workflow; {hint}"
        else:
            why = f": {work.run.reason}" if work.run.reason else ""
            says = f"the request was not sent to AMC within {took}{why}"
        return Failed(RemoteError(says, hint=hint), _result(row))

    def _sent(self, client: AmcClient, row: ExecutionRecord) -> ExecutionRecord | Outcome:
        fault_point("execute.before_post")
        try:
            execution = client.create_execution(row.sent_request)
        except OutcomeUnknown as unknown:
            return self._unknown(self.shared.executions.submitted(row, unknown.exchange))
        except Refused as refused:
            row = self.shared.executions.not_submitted(
                self.shared.executions.submitted(row, refused.exchange)
            )
            row = self.shared.executions.end(row, ExecutionStatus.REJECTED, refused.details)
            return Failed(refused, _result(row))
        except (RemoteError, UsageError, ConfigError) as error:
            self.shared.executions.submitted(row, getattr(error, "exchange", None))
            self.shared.executions.not_submitted(row)
            raise
        # Any other error may have come after the request went out, as one of a recording: it is looked for.
        fault_point("execute.after_post")
        taken = self.shared.executions.take(row, execution, submitted=execution.exchange)
        fault_point("execute.recorded")
        return taken or self._unknown(row)

    def _unknown(self, row: ExecutionRecord) -> Snooze:
        wait = min(self.shared.settings.poll_first, self.shared.settings.adopt_within / 4)
        now = self.shared.clock.now()
        return Snooze(now + wait, _LOOKING, keeps_slot=row.submitting_at is not None, asked_at=now)

    def _noted(self, work: ExecutionWork, execution: Execution | None) -> ExecutionWork:
        if execution is not None:
            return replace(work, row=self.shared.executions.see(work.row, execution))
        if polling.is_gone(self.shared.settings, work.row, work.at):
            return replace(work, row=self.shared.executions.end(work.row, ExecutionStatus.DELETED, GONE))
        return replace(work, row=self.shared.executions.looked(work.row))

    def _given_up(self, work: ExecutionWork) -> Outcome | Fetched:
        """Cancel what lasts too long, and see that it is cancelled."""
        row, workflow_execution_id = work.row, work.row.workflow_execution_id or ""
        try:
            execution: Execution | None = work.client.cancel_execution(workflow_execution_id)
        except Refused:
            # It ended a moment ago.
            execution = work.client.execution(workflow_execution_id)
        row = self._noted(work, execution).row
        if row.status is ExecutionStatus.CANCELLED:
            return Failed(self._too_long(row, work.row.status, "and was cancelled"), _result(row))
        if row.status and row.status.is_final:
            return self._followed(replace(work, row=row))
        now = self.shared.clock.now()
        if work.at >= self._deadline(row) + self._grace:
            return Failed(self._too_long(row, row.status, "and AMC did not cancel it"), _result(row))
        until = now + self.shared.settings.poll_first
        return Snooze(until, "AMC: to be cancelled", keeps_slot=True, asked_at=now)

    def _ended(self, row: ExecutionRecord) -> Outcome:
        """What an execution that did not succeed means for its run."""
        if row.status is ExecutionStatus.CANCELLED:
            if row.changed_at >= self._deadline(row):
                return Failed(self._too_long(row, row.status, "and was cancelled"), _result(row))
            return Skipped("cancelled in AMC")
        again = f"`amci redrive {row.run_id}`"
        # What is gone was no fault of the workflow.
        is_gone = row.status is ExecutionStatus.DELETED
        hint = (
            f"{again} asks for it again" if is_gone else f"fix the workflow or its parameters, then {again}"
        )
        return Failed(ExecutionFailed(str(row.status), row.status_reason, hint=hint), _result(row))

    def _too_long(self, row: ExecutionRecord, was: ExecutionStatus | None, then: str) -> RemoteError:
        """Why it was given up; `was` is how AMC had it until then."""
        took = spelled(self.shared.settings.deadline)
        if was is ExecutionStatus.PENDING:
            return RemoteError(
                f"AMC kept it PENDING for {took}, {then}",
                hint="nothing is wrong with the workflow; ask for less at one time, or later:"
                f" `amci redrive {row.run_id}`",
            )
        return RemoteError(
            f"AMC did not end it within {took}, {then}",
            hint="ask for less: a shorter time window or fewer joins; or raise amc.deadline in amci.yaml",
        )

    def _delivered(self, work: ExecutionWork) -> Outcome | Fetched:
        row, request, there = work.row, work.row.sent_request, None
        if row.key is None and not (request.dry_run or request.skip_publish):
            about = results.about(row, self._sql_hash(row), work.run.correlation_id)
            try:
                there = results.deliver(
                    work.client,
                    self.folder_of(work.tenant),
                    work.tenant,
                    row,
                    about,
                    was_killed=work.run.expiries > 0,
                )
            except Refused as refused:
                if refused.status not in _NOT_TO_BE_HAD:
                    raise
                return self._not_to_be_had(row, refused, work.at)
            fault_point("execute.delivered")
        return Fetched(work, there)

    def _looks_for_more(self, tenant: Tenant, row: ExecutionRecord) -> list[NewRun]:
        """What AMC may yet make of a request that was sent more than once is looked for a while later."""
        return [self._looks_later(tenant)] if row.sends > 1 else []

    def _looks_later(self, tenant: Tenant) -> NewRun:
        now = self.shared.clock.now()
        return reconcile_run(tenant, now, now + self.shared.settings.adopt_within * _LATE)

    def _sql_hash(self, row: ExecutionRecord) -> str:
        if row.sql_hash is not None:
            return row.sql_hash
        try:
            return sql_hash_of(row.sent_request, self.workflows.get(row.name))
        except UsageError:
            # The workflow was edited since; what was sent is not known here any more.
            return ""

    def _not_to_be_had(self, row: ExecutionRecord, refused: Refused, at: datetime) -> Outcome:
        now = self.shared.clock.now()
        if at >= self._deadline(row) and isinstance(refused, LinkExpired):
            says = f"the download links had expired {row.looks + 1} times"
            hint = f"nothing is wrong with the workflow; `amci exec download {row.run_id}` tries again"
            return Failed(RemoteError(says, hint=hint), _result(row))
        if at >= self._deadline(row):
            reason = f"{_NO_RESULT}: {refused.details}"
            return self._ended(self.shared.executions.end(row, ExecutionStatus.DELETED, reason))
        row = self.shared.executions.looked(row)
        until = polling.next_look(self.shared.settings, row.looks - 1, now)
        return Snooze(until, f"{_NO_RESULT} yet: {refused.details}", keeps_slot=True, asked_at=now)

    def _deadline(self, row: ExecutionRecord) -> datetime:
        return row.deadline_at or row.changed_at

    @property
    def _grace(self) -> timedelta:
        return self.shared.settings.poll_longest * _GRACE


def _asked_for(error: Exception, now: datetime) -> datetime:
    """When Amazon, or its open circuit, may be asked again."""
    if isinstance(error, CircuitOpen | Throttled) and error.retry_after:
        return now + error.retry_after
    return now


def _result(row: ExecutionRecord) -> dict[str, Any]:
    return {
        "workflow_execution_id": row.workflow_execution_id,
        "execution_status": str(row.status) if row.status else None,
        "key": row.key,
        "rows": row.rows,
        "bytes": row.bytes,
        "attempt": row.attempt,
    }
