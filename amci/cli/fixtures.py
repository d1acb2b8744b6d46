"""`amci fixtures …`: parse, call, show."""

from __future__ import annotations

from typing import Annotated

import typer

from amci.cli.context import Context, command
from amci.kernel.environment import environment
from amci.tenants.credentials import CredentialStore
from amci.workflows.amazon.fixture_matching import RequestPattern
from amci.workflows.amazon.fixtures import (
    Exchange,
    dumped,
    numbered,
    read,
    scenario_path,
    scenarios,
    summary,
    verify,
)
from amci.workflows.amazon.scrub import Scrubber, client_ids, known_ids

fixtures_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@command(fixtures_app, "list", epilog="Example: amci fixtures list")
def fixtures_list(ctx: Context) -> None:
    """Scenarios that are recorded."""
    folder = ctx.workspace.fixtures
    found = [summary(scenario_path(folder, name)) for name in scenarios(folder)]
    ctx.out.rows(
        found,
        ["scenario", "exchanges", "recorded_at", "amci", "bytes"],
        empty="no fixtures; record one with `mode: record` in amci.yaml",
    )


@command(fixtures_app, "show", epilog="Example: amci fixtures show nightly --exchange 3")
def fixtures_show(
    ctx: Context,
    scenario: Annotated[str, typer.Argument(help="Which fixture.")],
    exchange: Annotated[int | None, typer.Option(min=1, help="Only this one, by its number, whole.")] = None,
) -> None:
    """What was asked and answered, in order."""
    fixture = read(scenario_path(ctx.workspace.fixtures, scenario))
    if exchange is not None:
        one = numbered(fixture, exchange).plain()
        ctx.out.record(one, dumped(one).splitlines())
        return
    rows = [_row(number, one) for number, one in enumerate(fixture.exchanges, start=1)]
    ctx.out.rows(rows, ["exchange", "request", "status", "bytes"], empty="nothing is recorded")


@command(fixtures_app, "verify", epilog="Example: amci fixtures verify nightly")
def fixtures_verify(
    ctx: Context,
    scenario: Annotated[str | None, typer.Argument(help="Which fixture; all of them by default.")] = None,
) -> None:
    """Whether fixtures are whole, and free of secrets and ids; exit code 1 where one is not."""
    folder = ctx.workspace.fixtures
    tenants = ctx.project().tenants.values()
    clients = client_ids(tenants, CredentialStore(ctx.workspace, environment(), ctx.clock))
    scrubber = Scrubber(known_ids(tenants, clients))
    names = [scenario] if scenario is not None else scenarios(folder)
    paths = {name: scenario_path(folder, name) for name in names}
    found = [{"scenario": n, "problem": p} for n, path in paths.items() for p in verify(path, scrubber)]
    ctx.out.rows(found, ["scenario", "problem"], empty=f"{len(names)} fixtures are whole and clean")
    if found:
        raise typer.Exit(1)


def _row(number: int, exchange: Exchange) -> dict[str, object]:
    return {
        "exchange": number,
        "request": RequestPattern.of(exchange.request).line,
        "status": exchange.response.status,
        "bytes": len(exchange.response.content()),
    }
