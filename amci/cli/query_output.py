"""A query's answer on the terminal or in a file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from amci.cli.output import Output
from amci.kernel.errors import UsageError
from amci.kernel.files import replacing
from amci.lake.query.result_table import write_table
from amci.lake.query.session import QuerySession

FORMATS = ("table", "csv", "json", "parquet")


def render(session: QuerySession, sql: str, format: str, output: Path | None, out: Output) -> None:  # noqa: A002
    """Run `sql` and write its answer to `output`, complete or not at all, or to standard output.

    - `table`: aligned; the first 100 rows and a line that says how many there are (counted up to 100,000).
      NULL is NULL, and a text that reads NULL stands in quotes. On a terminal long values are cut and the
      columns that do not fit are left out; the last line says so. A plan of EXPLAIN is shown as it is.
    - `csv`: RFC 4180, UTF-8, with a header; NULL is empty and an empty text is `""`; lists, structs and maps
      are JSON.
    - `json`: an array of objects; decimals with all their digits; NaN and infinities, which JSON does not
      have, are null; of columns with the same name the second gets `_2`.
    - `parquet`: Arrow's types, intervals as text; column names as in JSON.

    In text, times are ISO 8601 (UTC with Z), intervals ISO 8601 periods, binary is hexadecimal.
    Raises UsageError for another format or Parquet on a terminal, QueryError where the query fails,
    StorageError where the disk refuses.
    """
    if format not in FORMATS:
        raise UsageError(f"there is no format '{format}'", hint=f"one of {', '.join(FORMATS)}")
    if format == "parquet" and output is None and out.stdout.isatty():
        raise UsageError("Parquet is not for a terminal", hint="name a file with --output")
    result = session.run(sql)
    result.refuse_unwritable(format)
    if format == "table":
        with _open_target(output, out) as target:
            write_table(result, target, None if output else out.width)
        return
    # Here, because it imports Arrow, which takes longer than most answers that are shown.
    from amci.lake.query.result_files import write_csv, write_parquet
    from amci.lake.query.result_json import write_json

    if format == "parquet":
        with _binary(output, out) as sink:
            write_parquet(result, sink)
        return
    with _open_target(output, out) as target:
        (write_csv if format == "csv" else write_json)(result, target)


@contextmanager
def _open_target(output: Path | None, out: Output) -> Iterator[IO[str]]:
    if output is None:
        yield out.stdout
        return
    with replacing(output) as part, part.open("w", encoding="utf-8", newline="") as target:
        yield target


@contextmanager
def _binary(output: Path | None, out: Output) -> Iterator[IO[bytes]]:
    if output is None:
        # Parquet keeps its place itself, so a pipe will do.
        yield getattr(out.stdout, "buffer", sys.stdout.buffer)
        return
    with replacing(output) as part, part.open("wb") as target:
        yield target
