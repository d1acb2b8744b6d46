"""`amci sql …`: write, check and run AMC SQL on this machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any

import typer

from amci.amcsql.sources import Source
from amci.amcsql.tools import catalog, findings_text as words
from amci.amcsql.tools.linting import Lint
from amci.app.query_checker import Checker, finding_lines, uploaded_by
from amci.app.query_input import QueryInput, read_queries, read_query
from amci.cli import sql_format as doing
from amci.cli.context import Context, RowsOf, command, without_command
from amci.cli.output import Output
from amci.cli.query import AsOfOption, talk
from amci.kernel.errors import NoWorkspace

if TYPE_CHECKING:
    from amci.app.query_runner import Runner
    from amci.tenants.model import Tenant

sql_app = typer.Typer(invoke_without_command=True, rich_markup_mode=None)

_ONE = "A .sql file, a workflow's file or name, or -."
Files = Annotated[
    list[str], typer.Argument(metavar="FILE…", help="Files, directories, workflows' names, or -.")
]
File = Annotated[str, typer.Argument(metavar="FILE", help=_ONE)]
TenantName = Annotated[
    str | None, typer.Option("--tenant", "-t", help="With this tenant's values and people.")
]
Window = Annotated[
    str | None, typer.Option("--window", "-w", help="MOST_RECENT_WEEK, … or START..END; else the workflow's.")
]
Zone = Annotated[str | None, typer.Option("--time-zone", "--zone", help="Time zone of the window.")]
Values = Annotated[
    list[str] | None, typer.Option("--value", "--param", "-p", help="name=value; may be given again.")
]
NoPrivacy = Annotated[bool, typer.Option("--no-privacy", help="Hide nothing: the people here are made up.")]
Scale = Annotated[
    float | None, typer.Option(max=100, help="How many people: 1 is 100,000; else the sandbox's.")
]
Seed = Annotated[int | None, typer.Option(min=0, max=2**63 - 1, help="Other numbers make other events.")]
Last = Annotated[str | None, typer.Option("--last", help="Last day of events; else today.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """The options of what runs queries."""

    window: Window = None
    zone: Zone = None
    tenant: TenantName = None
    values: Values = None
    no_privacy: NoPrivacy = False
    scale: Scale = None
    seed: Seed = None
    last: Last = None


@without_command(sql_app, epilog="Example: amci sql check config/workflows")
def deprecated_shell(ctx: Context, tenant: RowsOf = None, as_of: AsOfOption = None) -> None:
    """Write, check and run AMC SQL on this machine. Without a command: the shell of the lake (deprecated)."""
    ctx.out.note("deprecated: the shell of the lake is `amci query` now")
    talk(ctx, tenant, as_of)


@command(sql_app, "check", epilog="Example: amci sql check config/workflows")
def check(
    ctx: Context,
    files: Files,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse what AMC documents as unsupported.")
    ] = False,
    tenant: TenantName = None,
) -> None:
    """Check a query as AMC would, and show how many users its rows need."""
    whose, uploaded = _tenant(ctx, tenant)
    with ExitStack() as closing:
        checker = Checker(closing, tenant=whose, is_strict=strict, uploaded=uploaded)
        found = [(query, checker.look(query)) for query in read_queries(files, lambda: ctx.workspace.config)]
    show_lints(ctx.out, found)
    if any(lint.errors for _, lint in found):
        raise typer.Exit(1)


@command(
    sql_app, "run", epilog="Example: amci sql run reach.sql --window MOST_RECENT_WEEK --explain-redaction"
)
def run(
    ctx: Context,
    file: File,
    *,
    options: RunOptions,
    explain_redaction: Annotated[
        bool, typer.Option("--explain-redaction", help="Say which rows are hidden, and why.")
    ] = False,
    form: Annotated[str, typer.Option("--format", help="table, csv (AMC's) or json.")] = "table",
) -> None:
    """Run a query on made-up events, with AMC's privacy rules."""
    # Here and below: `check`, `fmt` and `tables` run nothing, and start sooner without the sandbox.
    from amci.cli import sql_output

    sql_output.check_format(form)
    with _runner(ctx, options) as runner:
        ran = runner.run(read_query(file, lambda: ctx.workspace.config))
    sql_output.show(ctx.out, ran, form, explains=explain_redaction)


@command(sql_app, "diff", epilog="Example: amci sql diff reach.sql new.sql --window MOST_RECENT_WEEK")
def diff(
    ctx: Context,
    a: Annotated[str, typer.Argument(metavar="A", help=_ONE)],
    b: Annotated[str, typer.Argument(metavar="B", help="The other version.")],
    options: RunOptions,
) -> None:
    """How the results of two versions of a query differ on the same events; exit code 1 if they do."""
    from amci.amcsql.tools.result_diff import difference
    from amci.cli import sql_output

    with _runner(ctx, options) as runner:
        ours, theirs = (runner.run(read_query(name, lambda: ctx.workspace.config)) for name in (a, b))
    found = difference(sql_output.version(ours), sql_output.version(theirs))
    sql_output.show_difference(ctx.out, found, ours.query_input.shown, theirs.query_input.shown)
    if not found.is_same:
        raise typer.Exit(1)


@command(sql_app, "fmt", epilog="Example: amci sql fmt config/workflows --diff")
def fmt(
    ctx: Context,
    files: Files,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit code 1 if a file would change.")
    ] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Write nothing, and show what would change.")] = False,
) -> None:
    """Format SQL: one clause per line, keywords in upper case; comments and names stay."""
    found = doing.done(files, is_written=not (check or diff))
    doing.show(ctx.out, found, is_diff=diff, is_piped=files == ["-"] and not (check or diff))
    if any(laid.fault or (check and laid.is_changed) for laid in found):
        raise typer.Exit(1)


@command(sql_app, "tables", epilog="Example: amci sql tables dsp_impressions --columns cost")
def tables(
    ctx: Context,
    name: Annotated[str | None, typer.Argument(help="One table.")] = None,
    columns: Annotated[
        str | None, typer.Option(help="Columns with this in their names; * and ? stand for others.")
    ] = None,
    category: Annotated[str | None, typer.Option(help="Only this category, such as AMAZON_DSP.")] = None,
    paid: Annotated[bool, typer.Option("--paid", help="Only tables that need a subscription.")] = False,
    audiences: Annotated[bool, typer.Option("--audiences", help="The tables for audiences.")] = False,
    tenant: Annotated[str | None, typer.Option("--tenant", "-t", help="Also data sets it uploaded.")] = None,
) -> None:
    """AMC's tables, or one table's columns with types, thresholds, units and values."""
    _, uploaded = _tenant(ctx, tenant)
    chosen = catalog.chosen(name, uploaded, category=category, is_paid=paid, is_for_audiences=audiences)
    if columns:
        show_columns(ctx.out, columns, chosen)
    elif name:
        show_table(ctx.out, chosen[0])
    else:
        show_tables(ctx.out, chosen)


@command(sql_app, "functions", epilog="Example: amci sql functions SECONDS_BETWEEN")
def functions(ctx: Context, name: Annotated[str | None, typer.Argument(help="One function.")] = None) -> None:
    """The functions of AMC SQL: what they take and what they give."""
    if name:
        ctx.out.record(catalog.function_record(catalog.function(name)))
    else:
        ctx.out.rows(catalog.function_rows(), ["function", "arguments", "gives", "is", "is_documented"])


def _tenant(ctx: Context, name: str | None) -> tuple[Tenant | None, Mapping[str, Source]]:
    """The tenant that is meant, if any, and the data sets it uploaded to the sandbox."""
    if name is None:
        return None, {}
    from amci.tenants.model import tenant_named

    tenant = tenant_named(ctx.project().tenants, name)
    return tenant, uploaded_by(ctx.workspace, tenant)


@contextmanager
def _runner(ctx: Context, options: RunOptions) -> Iterator[Runner]:
    from amci.app.query_runner import QueryRequest, query_runner

    asked = {field.name: getattr(options, field.name) for field in fields(options)}
    asked |= {"values": options.values or (), "has_privacy": not asked.pop("no_privacy")}
    request = QueryRequest(**asked)
    try:
        workspace = ctx.workspace
    except NoWorkspace:
        if request.tenant:
            raise
        workspace = None
    with (
        ctx.out.progress("making events") as tell,
        query_runner(
            request, workspace, tell=ctx.out.note, progress=lambda done, days: tell(f"{done} of {days} days")
        ) as runner,
    ):
        yield runner


def lint_document(query_input: QueryInput, found: Lint) -> dict[str, Any]:
    """What is found in a query, for programs; places are those of the file."""
    made = found.document()
    places = [
        words.in_file(finding.place, query_input.first_line, query_input.indent) for finding in found.findings
    ]
    for finding, place in zip(made["findings"], places, strict=True):
        finding.update(asdict(place))
    return {"file": query_input.shown, "workflow_id": query_input.name, **made}


def show_lints(out: Output, found: Sequence[tuple[QueryInput, Lint]]) -> None:
    """What is wrong, each with its line; of one query also what it gives, reads, takes and may lose."""
    if out.as_json:
        out.rows([lint_document(query_input, lint) for query_input, lint in found], [])
        return
    for query_input, each in found:
        for line in finding_lines(query_input, each):
            out.text(line)
        out.text(f"{query_input.shown}: {words.summary(each)}")
    if len(found) == 1:
        _show_about(out, found[0][1])


def _show_about(out: Output, found: Lint) -> None:
    """What a query gives, reads and takes, and what may be hidden."""
    tables = (
        (words.COLUMNS, [words.column_row(each) for each in found.columns]),
        (words.TABLES, [words.table_row(each) for each in found.tables]),
        (words.PARAMETERS, [words.parameter_row(each) for each in found.parameters]),
    )
    for columns, rows in tables:
        if rows:
            out.text("")
            out.table(columns, rows)
    if found.risks:
        out.text("")
        out.text("rows that AMC may hide:")
        for risk in found.risks:
            out.text(f"- {risk.text}")
            out.text(f"  what helps: {risk.hint}")


_TABLES = ("table", "category", "kind", "columns", "event_time", "access")
_COLUMNS = ("column", "type", "kind", "threshold", "users", "about")
_ACCESS = {
    "included": "every instance has it",
    "paid": "an instance has it only with a subscription",
    "uploaded": "uploaded by the advertiser",
    "audiences": "for audiences only: no workflow reads it",
}


def show_tables(out: Output, tables: Sequence[Source]) -> None:
    """A line for each."""
    out.rows([catalog.table_row(each) for each in tables], _TABLES, empty="no such table")


def show_table(out: Output, source: Source) -> None:
    """One table with all its columns."""
    record = catalog.table_record(source)
    if out.as_json:
        out.record(record)
        return
    out.text(f"{source.name}: {source.category}, {source.kind}; {_ACCESS[record['access']]}")
    out.text(
        f"a time window limits {source.event_time}" if source.event_time else "time windows do not limit it"
    )
    if source.audience_table:
        out.text(f"its twin for audiences is {source.audience_table}")
    out.text("")
    out.rows([_said(row) for row in record["columns"]], _COLUMNS)


def show_columns(out: Output, pattern: str, tables: Sequence[Source]) -> None:
    """The columns of some tables whose names fit a pattern."""
    rows = catalog.column_rows(pattern, tables)
    if out.as_json:
        out.rows(rows, [])
        return
    out.rows([_said(row) for row in rows], ("table", *_COLUMNS), empty=f"no column fits '{pattern}'")


def _said(row: dict[str, object]) -> dict[str, object]:
    """A column as people read it."""
    users = "never shown" if row["users"] is None else row["users"]
    return {**row, "users": users, "about": catalog.about(row)}
