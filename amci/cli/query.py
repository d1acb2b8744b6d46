"""`amci query`: ask the lake in DuckDB SQL."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from amci.cli.context import Context, command
from amci.kernel.signals import stopping

query_app = typer.Typer(rich_markup_mode=None)

TenantOption = Annotated[
    str | None, typer.Option("--tenant", help="Only rows of this tenant.", show_default=False)
]
AsOfOption = Annotated[
    str | None, typer.Option("--as-of", help="A snapshot's number, or a time (ISO 8601).", show_default=False)
]


@command(query_app, "query", epilog='Example: amci query "SELECT * FROM amci.objects" --format csv')
def query(
    ctx: Context,
    sql: Annotated[str, typer.Argument(help="One SELECT; `-` reads it from standard input.")],
    *,
    format_: Annotated[str, typer.Option("--format", help="table, csv, json or parquet.")] = "table",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write to this file.", show_default=False)
    ] = None,
    tenant: TenantOption = None,
    as_of: AsOfOption = None,
) -> None:
    """Ask the lake in DuckDB SQL."""
    # Here, because it loads Arrow and DuckDB, and `amci sql` has the options above.
    from amci.cli.query_output import render

    text = typer.get_text_stream("stdin").read() if sql == "-" else sql
    with ctx.query_session(tenant=tenant, as_of=as_of) as session, stopping() as session.stop:
        render(session, text, "json" if ctx.out.as_json else format_, output, ctx.out)
