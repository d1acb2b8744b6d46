"""`amci schedule …`: parse, call, show."""

from __future__ import annotations

from typing import Annotated

import typer

from amci.cli.context import Context, command

schedule_app = typer.Typer(help="Schedules: what fires when.", no_args_is_help=True, rich_markup_mode=None)

ScheduleArgument = Annotated[
    str, typer.Argument(help="Id, or the name of a template for all it was spread out to.")
]


@command(schedule_app, "list", epilog="Example: amci schedule list")
def list_(ctx: Context) -> None:
    """Schedules with their next fire and what the last one did."""
    from amci.cli import schedule_rows

    with ctx.opened() as opened:
        rows = schedule_rows.overview(opened.project.schedules, opened.schedules, opened.clock.now())
    columns = ["schedule", "expression", "time_zone", "state", "next_fire", "last_fire", "last_status"]
    ctx.out.rows(rows, columns, empty="no schedules; they are files in config/schedules/")


@command(schedule_app, "show", epilog="Example: amci schedule show weekly-reach/northwind-outdoor")
def show_(ctx: Context, schedule: ScheduleArgument) -> None:
    """Everything about one schedule, with its next fires."""
    from amci.cli import schedule_rows

    with ctx.opened() as opened:
        now, found = opened.clock.now(), schedule_rows.chosen(opened.project.schedules, schedule)
        if len(found) == 1:
            ctx.out.record(schedule_rows.detail(found[0], opened.schedules, now))
            return
        rows = schedule_rows.overview({s.schedule_id: s for s in found}, opened.schedules, now)
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
        str | None, typer.Option("--schedule", help="Only of this schedule or template.", show_default=False)
    ] = None,
    expression: Annotated[
        str | None, typer.Option(help="Of this expression instead; needs no workspace.", show_default=False)
    ] = None,
    zone: Annotated[str, typer.Option(help="Time zone of --expression.")] = "UTC",
) -> None:
    """The next fires, over all schedules, of one, or of an expression you want to try."""
    from amci.cli import schedule_rows
    from amci.kernel.clock import SystemClock

    if expression is not None:
        rows = schedule_rows.coming_of(expression, zone, SystemClock().now(), count)
        ctx.out.rows(rows, ["fire_time", "local"], empty="it never fires again")
        return
    with ctx.opened() as opened:
        known = opened.project.schedules
        asked = schedule_rows.chosen(known, schedule) if schedule else known.values()
        rows = schedule_rows.coming(asked, opened.schedules, opened.clock.now(), count)
    ctx.out.rows(rows, ["fire_time", "local", "schedule"], empty="nothing will fire")


@command(schedule_app, "pause", epilog="Example: amci schedule pause weekly-reach")
def pause(ctx: Context, schedule: ScheduleArgument) -> None:
    """Let a schedule fire no more until `resume`; survives restarts."""
    from amci.cli import schedule_rows

    with ctx.opened() as opened:
        found = schedule_rows.chosen(opened.project.schedules, schedule)
        for one in found:
            opened.schedules.pause(one.schedule_id)
    ctx.out.record({"paused": [one.schedule_id for one in found]})


@command(schedule_app, "resume", epilog="Example: amci schedule resume weekly-reach")
def resume(ctx: Context, schedule: ScheduleArgument) -> None:
    """Let a paused schedule fire again; what it missed meanwhile stays undone."""
    from amci.cli import schedule_rows

    with ctx.opened() as opened:
        found = schedule_rows.chosen(opened.project.schedules, schedule)
        for one in found:
            opened.schedules.resume(one.schedule_id)
    ctx.out.record({"resumed": [one.schedule_id for one in found]})


@command(
    schedule_app, "fire", epilog="Example: amci schedule fire weekly-reach --at 2026-11-02T06:00:00Z --wait"
)
def fire(
    ctx: Context,
    schedule: ScheduleArgument,
    *,
    at: Annotated[
        str | None,
        typer.Option(
            help="The fire of this moment (ISO 8601, UTC where it names no zone); else one of now.",
            show_default=False,
        ),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Do the runs and wait for their end.")] = False,
) -> None:
    """Fire a schedule by hand, also a paused one."""
    from amci.cli import schedule_rows
    from amci.cli.run_progress import do_runs, leave

    moment = schedule_rows.moment_of(at) if at else None
    with ctx.opened() as opened:
        found = schedule_rows.chosen(opened.project.schedules, schedule)
        keys = {opened.scheduler.fire(one.schedule_id, moment): one.schedule_id for one in found}
        runs = do_runs(ctx, opened, list(keys), wait=wait)
    rows = [schedule_rows.run_row(run) | {"schedule": keys[run.idempotency_key]} for run in runs]
    ctx.out.rows(rows, ["schedule", "run_id", "status", "reason"])
    if not wait:
        ctx.out.text("`amci up` or `amci drain` does it")
    leave(runs)


@command(schedule_app, "history", epilog="Example: amci schedule history weekly-reach/northwind-outdoor")
def history(
    ctx: Context,
    schedule: ScheduleArgument,
    limit: Annotated[int, typer.Option(help="At most so many of each schedule, newest first.", min=1)] = 20,
) -> None:
    """Its fires, what was decided, and how their runs stand."""
    from amci.cli import schedule_rows

    with ctx.opened() as opened:
        found = schedule_rows.chosen(opened.project.schedules, schedule)
        rows = [
            row
            for one in found
            for row in schedule_rows.past(opened.schedules.history(one.schedule_id, limit))
        ]
    ctx.out.rows(
        rows, ["schedule", "fire_time", "decision", "run_id", "status"], empty="it has not fired yet"
    )
