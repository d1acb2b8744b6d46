"""`amci audience …`: parse, call, show."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated

import typer

from amci.app.audiences import AudienceOptions
from amci.app.session import Session
from amci.cli.audience_requests import (
    LISTED,
    audience_row,
    create_audience,
    delete_audience,
    show_audience,
    update_audience,
)
from amci.cli.context import Context, Yes, command
from amci.tenants.model import Tenant
from amci.workflows.amc.audience_model import Reach
from amci.workflows.audiences.audience_parsing import reach_from
from amci.workflows.executions.request_parsing import chosen

audience_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Its name, as the DSP shows it after 'AMC'.")]
Which = Annotated[str, typer.Argument(metavar="AUDIENCE", help="Id of the audience, or its name.")]
File = Annotated[Path | None, typer.Argument(metavar="[FILE.sql]", help="The query, a SELECT of user_id.")]
Workflow = Annotated[
    str | None, typer.Option("--workflow", help="Id of a workflow in AMC, in place of a file.")
]
OneTenant = Annotated[str | None, typer.Option("--tenant", "-t", help="Tenant; the only one by default.")]
Window = Annotated[str, typer.Option("--window", help="Events of START..END; dates may be dynamic.")]
Zone = Annotated[str, typer.Option("--zone", help="Time zone of the window.")]
Refresh = Annotated[int | None, typer.Option("--refresh-days", help="Days between refreshes; AMC says 21.")]
Relative = Annotated[bool, typer.Option("--relative", help="Move the window on with each refresh.")]
Values = Annotated[
    list[str] | None, typer.Option("--value", help="name=value or name:TYPE=value; may be given again.")
]
AdvertiserId = Annotated[
    str | None, typer.Option("--advertiser", help="Who gets it; the only one by default.")
]
Description = Annotated[str, typer.Option("--description", help="For those who look at it later.")]
Country = Annotated[str, typer.Option("--country", help="Country code, such as US.")]
Again = Annotated[bool, typer.Option("--again", help="Even if AMC has the very same already.")]
Wait = Annotated[bool, typer.Option("--wait", help="Until AMC has made it, or given up.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAudience:
    """The options of a new audience of either kind."""

    tenant: OneTenant = None
    window: Window
    zone: Zone = "UTC"
    refresh_days: Refresh = None
    is_window_moving: Relative = False
    values: Values = None
    workflow: Workflow = None
    advertiser: AdvertiserId = None
    description: Description = ""
    country: Country = ""
    again: Again = False
    wait: Wait = False


@command(
    audience_app,
    "create",
    epilog="Example: amci audience create 'Seen in May' seen.sql --window 2026-05-01..2026-06-01 --wait",
)
def create(ctx: Context, name: Name, file: File = None, *, options: NewAudience) -> None:
    """Make an audience of the people a query finds; 2,000 at least."""
    _create(ctx, name, file, options, None)


@command(
    audience_app,
    "lookalike",
    epilog="Example: amci audience lookalike 'Like buyers' buyers.sql --window 'TODAY(-90)..TODAY(-2)' --reach similar",
)
def lookalike(
    ctx: Context,
    name: Name,
    file: File = None,
    *,
    options: NewAudience,
    reach: Annotated[
        str, typer.Option("--reach", help="most-similar, similar, balanced, broad or most-broad.")
    ] = "balanced",
) -> None:
    """Make an audience of people like those a query finds; 500 to 500,000 are its seed."""
    _create(ctx, name, file, options, reach_from(reach))


def _create(ctx: Context, name: str, file: Path | None, options: NewAudience, reach: Reach | None) -> None:
    own = {"tenant", "again", "wait"}
    asked = {field.name: getattr(options, field.name) for field in fields(options) if field.name not in own}
    wanted = AudienceOptions(name=name, file=file, reach=reach, **asked)
    with ctx.session() as session:
        tenant = _tenant(session, options.tenant)
        create_audience(ctx, session, tenant, wanted, again=options.again, wait=options.wait)


@command(audience_app, "list", epilog="Example: amci audience list --tenant acme")
def list_audiences(ctx: Context, tenant: OneTenant = None) -> None:
    """The audiences of a tenant's AMC instance, newest first."""
    with ctx.session() as session:
        rows = [audience_row(found) for found in session.client(_tenant(session, tenant)).audiences()]
    rows.sort(key=lambda row: str(row["created_at"]), reverse=True)
    ctx.out.rows(rows, LISTED, empty="no audiences")


@command(audience_app, "show", epilog="Example: amci audience show 'Seen in May' --wait")
def show(ctx: Context, audience: Which, tenant: OneTenant = None, wait: Wait = False) -> None:
    """One audience: how many people it has, or why it was not made."""
    with ctx.session() as session:
        show_audience(ctx, session, _tenant(session, tenant), audience, wait=wait)


@command(audience_app, "update", epilog="Example: amci audience update 'Seen in May' seen.sql --wait")
def update(
    ctx: Context,
    audience: Which,
    file: File = None,
    *,
    tenant: OneTenant = None,
    window: Annotated[str, typer.Option("--window", help="Another window; as before if left out.")] = "",
    zone: Zone = "UTC",
    relative: Relative = False,
    value: Values = None,
    workflow: Workflow = None,
    wait: Wait = False,
) -> None:
    """Correct an audience that failed: another query, window or values; AMC makes it again."""
    options = AudienceOptions(
        name="",
        file=file,
        workflow=workflow,
        window=window,
        zone=zone,
        values=value,
        is_window_moving=relative,
    )
    with ctx.session() as session:
        update_audience(ctx, session, _tenant(session, tenant), audience, options, wait=wait)


@command(audience_app, "delete", epilog="Example: amci audience delete 'Seen in May'")
def delete(ctx: Context, audience: Which, tenant: OneTenant = None, yes: Yes = False) -> None:
    """Delete an audience that failed; others end by themselves."""
    with ctx.session() as session:
        delete_audience(ctx, session, _tenant(session, tenant), audience, is_sure=yes)


def _tenant(session: Session, name: str | None) -> Tenant:
    return chosen(session.project.tenants, [name] if name else [])[0]
