"""Leaves people out of the rows of an uploaded data set, in a DuckDB session of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from amci.kernel.errors import StorageError
from amci.kernel.names import literal, quoted
from amci.sandbox.uploads.resolving import Resolver
from amci.sandbox.uploads.session import session


def leave_out(
    files: Sequence[Path], keys: Sequence[str], people: str, target: Path, memory_limit: int
) -> None:
    """Write the rows of `files` to `target` but for those of the people whom the identities `keys` mean.

    A row is theirs where it was uploaded with such an identity, or with another one of the same user. Raises
    StorageError.
    """
    try:
        with TemporaryDirectory(dir=target.parent.parent, prefix=".work-") as work:
            _leave_out(files, keys, people, target, memory_limit, Path(work))
    except duckdb.Error as error:
        raise StorageError(
            f"rows of people who are to be forgotten: {str(error).splitlines()[0]}",
            hint="check the disk; it is tried again",
        ) from error


def _leave_out(
    files: Sequence[Path], keys: Sequence[str], people: str, target: Path, memory_limit: int, work: Path
) -> None:
    listed = ", ".join(literal(str(file)) for file in files)
    rows = f"read_parquet([{listed}], union_by_name = true, hive_partitioning = false)"
    with session(memory_limit, work) as con:
        con.execute("CREATE TEMP TABLE targets AS SELECT unnest(?::VARCHAR[]) AS key", [list(keys)])
        con.execute(f"CREATE TEMP TABLE users AS {_users(con, keys, people)}")
        con.execute(
            f'COPY (SELECT * FROM {rows} WHERE "amci user" NOT IN (SELECT "amci user" FROM users)'
            ' AND NOT list_has_any("amci identities", (SELECT list(key) FROM targets)))'
            f" TO {literal(str(target))} (FORMAT parquet, ROW_GROUP_SIZE 100000)"
        )


def _users(con: duckdb.DuckDBPyConnection, keys: Sequence[str], people: str) -> str:
    """The users that the identities match; a relation of their numbers."""
    resolver = Resolver(con, people)
    found = []
    for kind in sorted({each.partition(":")[0] for each in keys}):
        mark = literal(f"{kind}:")
        own = f'SELECT substr(key, {len(kind) + 2}) AS {quoted(kind)}, key AS "amci row" FROM targets'
        own += f" WHERE starts_with(key, {mark})"
        found.append(resolver.resolved(own, [((kind,), (kind,))]))
    union = " UNION ALL ".join(f'SELECT "amci user" FROM ({each})' for each in found)
    return f'SELECT DISTINCT "amci user" FROM ({union}) WHERE "amci user" > 0'
