"""`amci query`: one question to the lake in DuckDB SQL, or a conversation with it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from amci.cli.context import Context, RowsOf, command
from amci.kernel.errors import AmciError, UsageError
from amci.kernel.files import source_text
from amci.kernel.signals import stopping

if TYPE_CHECKING:
    from amci.lake.query.session import QuerySession

_INTERRUPTED = 130  #: the exit code after Ctrl-C

query_app = typer.Typer(rich_markup_mode=None)

AsOfOption = Annotated[str | None, typer.Option("--as-of", help="A snapshot's number, or a time (ISO 8601).")]


@command(
    query_app,
    "query",
    epilog='Example: amci query "SELECT * FROM amci.objects" --format csv, or amci query for the shell',
)
def query(
    ctx: Context,
    sql: Annotated[
        str | None,
        typer.Argument(help="One SELECT; `-` reads it from standard input. Without it: the shell."),
    ] = None,
    *,
    format_: Annotated[
        str | None, typer.Option("--format", help="table (the default), csv, json or parquet.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write to this file.")] = None,
    tenant: RowsOf = None,
    as_of: AsOfOption = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="First compare the files of its tables with their checksums.")
    ] = False,
) -> None:
    """Ask the lake in DuckDB SQL; without a statement, in an interactive shell."""
    if sql is None:
        if format_ or output:
            raise UsageError(
                "--format and --output need a statement",
                hint='amci query "SELECT …"; in the shell, use .mode',
            )
        talk(ctx, tenant, as_of, verify=verify)
        return
    text = source_text(sql) if sql == "-" else sql
    # From before DuckDB is there: its import and its extensions make errors of their own of a signal that raises.
    with stopping() as stop, _asking(ctx, tenant, as_of, verify=verify) as session:
        # Here, because it loads DuckDB, and `amci sql` has the options above.
        from amci.cli.query_output import render

        session.stop = stop
        render(session, text, "json" if ctx.out.as_json else format_ or "table", output, ctx.out)


def talk(ctx: Context, tenant: str | None, as_of: str | None, *, verify: bool = False) -> None:
    """The shell of the lake: a conversation on a terminal, else the statements of standard input."""
    # Here, because a single query needs no shell.
    from amci.cli.query_shell import converse

    with _asking(ctx, tenant, as_of, verify=verify) as session:
        converse(session, ctx.out, ctx.workspace.home / "state" / "sql_history")


@contextmanager
def _asking(
    ctx: Context, tenant: str | None, as_of: str | None, *, verify: bool = False
) -> Iterator[QuerySession]:
    """A session of this process, which ends with it: also a query that does not heed that its time is over.

    Raises QueryError if there is not enough memory for the answer.
    """
    opened: QuerySession | None = None
    try:
        with ctx.query_session(tenant=tenant, as_of=as_of, verifies=verify) as opened:
            yield opened
    except (AmciError, KeyboardInterrupt, MemoryError) as error:
        if isinstance(error, MemoryError):
            from amci.lake.query.result import too_large

            error = too_large()
        if opened is None or not opened.is_stuck:
            raise error from None
        if isinstance(error, AmciError):
            ctx.out.error(error)
        sys.stdout.flush()
        # Python would wait, when it ends, for the thread that DuckDB works in, or be taken down by it.
        os._exit(error.exit_code if isinstance(error, AmciError) else _INTERRUPTED)
