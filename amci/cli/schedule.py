"""`amci schedule …`: parse, call, show."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import islice, repeat
from operator import itemgetter
from typing import Annotated, Any

import typer

from amci.cli.context import Context, command
from amci.cli.run_progress import exit_if_failed, finish_runs
from amci.kernel.clock import moment
from amci.kernel.dates import time_zone
from amci.kernel.errors import NotFound, UsageError
from amci.kernel.names import near_or
from amci.scheduler.clock_changes import A_YEAR, OddTimes, odd_times
from amci.scheduler.due import Timetable
from amci.scheduler.expression import parse
from amci.scheduler.model import Schedule
from amci.scheduler.store import FireRecord, ScheduleState, ScheduleStore

schedule_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

ScheduleArgument = Annotated[
    str, typer.Argument(help="Id, or the name of a template for all it was spread out to.")
]


@command(schedule_app, "list", epilog="Example: amci schedule list")
def list_(ctx: Context) -> None:
    """Schedules with their next fire and what the last one did."""
    with ctx.session() as session:
        rows = schedule_rows(session.project.schedules, session.schedules, session.clock.now())
    columns = ["schedule", "expression", "time_zone", "state", "next_fire", "last_fire", "last_status"]
    ctx.out.rows(rows, columns, empty="no schedules; they are files in config/schedules/")


@command(schedule_app, "show", epilog="Example: amci schedule show weekly-reach/northwind-outdoor")
def show_(ctx: Context, schedule: ScheduleArgument) -> None:
    """Everything about one schedule, with its next fires."""
    with ctx.session() as session:
        now, found = session.clock.now(), schedules_named(session.project.schedules, schedule)
        if len(found) == 1:
            ctx.out.record(schedule_record(found[0], session.schedules, now))
            return
        rows = schedule_rows({s.schedule_id: s for s in found}, session.schedules, now)
    ctx.out.rows(rows, ["schedule", "expression", "time_zone", "state", "next_fire", "last_fire"])


@command(
    schedule_app,
    "next",
    epilog='Example: amci schedule next 5 --expression "cron(0 9 ? * MON-FRI *)" --zone Europe/Berlin',
)
def next_(
    ctx: Context,
    count: Annotated[int, typer.Argument(help="How many fires.", min=1)] = 10,
    *,
    schedule: Annotated[
        str | None, typer.Option("--schedule", help="Only of this schedule or template.")
    ] = None,
    expression: Annotated[
        str | None, typer.Option(help="Of this expression instead; needs no workspace.")
    ] = None,
    zone: Annotated[str, typer.Option(help="Time zone of --expression.")] = "UTC",
) -> None:
    """The next fires, over all schedules, of one, or of an expression you want to try."""
    if expression is not None:
        rows = fires_of_expression(expression, zone, ctx.clock.now(), count)
        ctx.out.rows(rows, _shown(rows, "fire_time", "local"), empty="it never fires again")
        return
    with ctx.session() as session:
        known = session.project.schedules
        asked = schedules_named(known, schedule) if schedule else known.values()
        rows = next_fires(asked, session.schedules, session.clock.now(), count)
    ctx.out.rows(rows, _shown(rows, "fire_time", "local", "schedule"), empty="nothing will fire")


def _shown(rows: Sequence[Mapping[str, Any]], *columns: str) -> list[str]:
    """The columns for people: what is said of local times only if something is."""
    return [*columns, "says"] if any(row["says"] for row in rows) else [*columns]


@command(schedule_app, "pause", epilog="Example: amci schedule pause weekly-reach")
def pause(ctx: Context, schedule: ScheduleArgument) -> None:
    """Let a schedule fire no more until `resume`; survives restarts."""
    _for_each(ctx, "paused", schedule, ScheduleStore.pause)


@command(schedule_app, "resume", epilog="Example: amci schedule resume weekly-reach")
def resume(ctx: Context, schedule: ScheduleArgument) -> None:
    """Let a paused schedule fire again; what it missed meanwhile stays undone."""
    _for_each(ctx, "resumed", schedule, ScheduleStore.resume)


def _for_each(ctx: Context, done: str, name: str, change: Callable[[ScheduleStore, str], None]) -> None:
    """Change every schedule of this name, and say which."""
    with ctx.session() as session:
        ids = [one.schedule_id for one in schedules_named(session.project.schedules, name)]
        for schedule_id in ids:
            change(session.schedules, schedule_id)
    ctx.out.record({done: ids})


@command(
    schedule_app, "fire", epilog="Example: amci schedule fire weekly-reach --at 2026-11-02T06:00:00Z --wait"
)
def fire(
    ctx: Context,
    schedule: ScheduleArgument,
    *,
    at: Annotated[
        str | None,
        typer.Option(help="The fire of this moment (ISO 8601, UTC if it names no zone); else one of now."),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Do the runs and wait for their end.")] = False,
) -> None:
    """Fire a schedule by hand, also a paused one."""
    moment = parse_moment(at) if at else None
    with ctx.session() as session:
        found = schedules_named(session.project.schedules, schedule)
        keys = {session.scheduler.fire(one.schedule_id, moment): one.schedule_id for one in found}
        runs = finish_runs(ctx, session, list(keys), wait=wait)
    rows = [
        {"run_id": r.run_id, "status": r.status, "reason": r.reason, "schedule": keys[r.idempotency_key]}
        for r in runs
    ]
    ctx.out.rows(rows, ["schedule", "run_id", "status", "reason"])
    if not wait:
        ctx.out.text("`amci up` or `amci drain` does it")
    exit_if_failed(runs)


@command(schedule_app, "history", epilog="Example: amci schedule history weekly-reach/northwind-outdoor")
def history(
    ctx: Context,
    schedule: ScheduleArgument,
    limit: Annotated[int, typer.Option(help="At most so many of each schedule, newest first.", min=1)] = 20,
) -> None:
    """Its fires, what was decided, and how their runs stand."""
    with ctx.session() as session:
        found = schedules_named(session.project.schedules, schedule)
        rows = [row for one in found for row in fire_rows(session.schedules.history(one.schedule_id, limit))]
    ctx.out.rows(
        rows, ["schedule", "fire_time", "decision", "run_id", "status"], empty="it has not fired yet"
    )


_COMING = 3
_LOCAL = "%a %Y-%m-%d %H:%M:%S"
_FOR_EVER = datetime.max.replace(tzinfo=UTC)


def schedules_named(schedules: Mapping[str, Schedule], name: str) -> list[Schedule]:
    """The schedule of this id, or all that a template of this name was spread out to; raises NotFound."""
    found = [
        s for schedule_id, s in schedules.items() if schedule_id == name or schedule_id.startswith(f"{name}/")
    ]
    if not found:
        hint = near_or(
            name, {*schedules, *(s.partition("/")[0] for s in schedules)}, "`amci schedule list` shows them"
        )
        raise NotFound(f"there is no schedule '{name}'", hint=hint)
    return found


def schedule_rows(
    schedules: Mapping[str, Schedule], store: ScheduleStore, now: datetime
) -> list[dict[str, Any]]:
    """A row for each schedule: when it fires next, whether it is paused, what it did last."""
    states, newest = store.states(schedules.keys()), store.newest()
    return [
        _row(schedule, states.get(name), newest.get(name), now)
        for name, schedule in sorted(schedules.items())
    ]


def _row(
    schedule: Schedule, state: ScheduleState | None, last: FireRecord | None, now: datetime
) -> dict[str, Any]:
    next_fires = next(_coming(Timetable.of(schedule), state, now), None)
    return {
        "schedule": schedule.schedule_id,
        "expression": schedule.expression,
        "time_zone": schedule.time_zone,
        "kind": schedule.run.kind,
        "tenant": schedule.run.tenant_id,
        "state": _state(schedule, state),
        "next_fire": next_fires,
        "last_fire": last.fire.fire_time if last else None,
        "last_decision": last.fire.decision if last else None,
        "last_status": last.status if last else None,
    }


def schedule_record(schedule: Schedule, store: ScheduleStore, now: datetime) -> dict[str, Any]:
    """Everything about one schedule."""
    state = store.states([schedule.schedule_id]).get(schedule.schedule_id)
    last = next(iter(store.history(schedule.schedule_id, 1)), None)
    run = {name: value for name, value in asdict(schedule.run).items() if value not in (None, "")}
    return _row(schedule, state, last, now) | {
        "description": schedule.description,
        "coming": list(islice(_coming(Timetable.of(schedule), state, now), _COMING)),
        "catch_up": schedule.catch_up,
        "overlap": schedule.overlap,
        "start_at": schedule.start_at,
        "end_at": schedule.end_at,
        "jitter": schedule.jitter,
        "run": run,
        "changed_at": state.changed_at if state else None,
        "decided_up_to": state.cursor_at if state else None,
        "paused_at": state.paused_at if state else None,
    }


def next_fires(
    schedules: Iterable[Schedule], store: ScheduleStore, now: datetime, count: int
) -> list[dict[str, Any]]:
    """The next `count` fires over all these schedules; paused and disabled ones have none."""
    by_id = {schedule.schedule_id: Timetable.of(schedule) for schedule in schedules}
    states = store.states(by_id.keys())
    merged = heapq.merge(
        *(zip(_coming(timetable, states.get(name), now), repeat(name)) for name, timetable in by_id.items())
    )
    fires = list(islice(merged, count))
    rows = [
        (fire, {"fire_time": fire, "local": _local(fire, by_id[name].zone.key), "schedule": name, "says": ""})
        for fire, name in fires
    ]
    until = fires[-1][0] if len(fires) == count else now + A_YEAR
    for name, timetable in by_id.items():
        if timetable.is_enabled:
            odd = _odd_rows(odd_times(timetable.expression, now, until, timetable.zone))
            rows += [(at, {**row, "schedule": name}) for at, row in odd]
    return [row for _, row in sorted(rows, key=itemgetter(0))]


def fires_of_expression(expression: str, zone: str, now: datetime, count: int) -> list[dict[str, Any]]:
    """The next `count` fires of an expression; raises UsageError."""
    read, read_zone = parse(expression), time_zone(zone)
    fires = list(islice(read.fires(now, _FOR_EVER, read_zone), count))
    until = fires[-1] if len(fires) == count else now + A_YEAR
    rows = [(fire, {"fire_time": fire, "local": _local(fire, zone), "says": ""}) for fire in fires]
    rows += _odd_rows(odd_times(read, now, until, read_zone))
    return [row for _, row in sorted(rows, key=itemgetter(0))]


def _odd_rows(times: Iterable[OddTimes]) -> Iterator[tuple[datetime, dict[str, Any]]]:
    """Rows for local times that do not come, or come twice, each with the moment of the change."""
    for odd in times:
        yield odd.moment, {"fire_time": None, "local": f"{odd.first:{_LOCAL}}", "says": odd.says()}


def fire_rows(fires: Sequence[FireRecord]) -> list[dict[str, Any]]:
    """Rows of a history."""
    return [
        {
            "schedule": entry.fire.schedule_id,
            "fire_time": entry.fire.fire_time,
            "decision": entry.fire.decision,
            "at": entry.at,
            "run_id": entry.run_id,
            "status": entry.status,
            "idempotency_key": entry.fire.idempotency_key,
        }
        for entry in fires
    ]


def parse_moment(text: str) -> datetime:
    """A moment as people write it; raises UsageError."""
    try:
        return moment(text)
    except ValueError:
        raise UsageError(f"'{text}' is not a moment", hint="write 2026-11-02T06:00:00Z") from None


def _state(schedule: Schedule, state: ScheduleState | None) -> str:
    if not schedule.is_enabled:
        return "disabled"
    return "paused" if state and state.paused_at else "active"


def _coming(timetable: Timetable, state: ScheduleState | None, now: datetime) -> Iterator[datetime]:
    """Fires to come; what lies before the cursor is decided already, even if the clock was set back."""
    if state and state.paused_at:
        return iter(())
    since = max(now, state.cursor_at) if state else now
    return timetable.fires(since)


def _local(fire: datetime, zone: str) -> str:
    return f"{fire.astimezone(time_zone(zone)):{_LOCAL} %z}"
