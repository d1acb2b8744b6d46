"""Whether a statement only reads: DuckDB's own verdict first, then sqlglot's."""

from __future__ import annotations

import duckdb
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from amci.errors import QueryError

_READS = {duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN}
_WRITES = (
    exp.Insert,
    exp.Update,
    exp.Delete,
    exp.Merge,
    exp.Create,
    exp.Drop,
    exp.Alter,
    exp.Copy,
    exp.Attach,
    exp.Set,
)
_METADATA = "__ducklake_metadata"
_HINT = "the lake is written by `amci drain` and `amci up` alone; queries only read it"


def checked(con: duckdb.DuckDBPyConnection, sql: str, *, tenant: str | None = None) -> str:
    """The one reading statement in `sql`.

    Raises QueryError for anything that writes, changes settings, or looks behind the catalog; and, in a session
    for one tenant, for anything that goes round the tenant's views.
    """
    try:
        statements = con.extract_statements(sql)
    except duckdb.Error as error:
        raise QueryError(said(error)) from None
    if not statements:
        raise QueryError("there is no statement", hint='try: amci query "SELECT * FROM amci.objects LIMIT 5"')
    if len(statements) > 1:
        raise QueryError(f"{len(statements)} statements; one at a time", hint="run them one after another")
    statement = statements[0]
    if statement.type not in _READS:
        raise QueryError(
            f"{statement.type.name.replace('_', ' ')} is not allowed: queries only read", hint=_HINT
        )
    if _METADATA in sql.lower():
        raise QueryError(
            "the catalog's own tables are not for queries", hint="`amci lake --help` lists what shows them"
        )
    text: str = statement.query
    _look_inside(text, tenant)
    return text


def _look_inside(sql: str, tenant: str | None) -> None:
    try:
        tree = sqlglot.parse_one(sql, dialect="duckdb")
    except SqlglotError:
        if tenant is not None:
            raise QueryError(
                "this statement cannot be checked for a session of one tenant", hint="write it in plainer SQL"
            ) from None
        # DuckDB has called it a SELECT or EXPLAIN and the session is read-only; sqlglot is the second lock.
        return
    if found := next(tree.find_all(*_WRITES), None):
        raise QueryError(f"{found.key.upper()} is not allowed: queries only read", hint=_HINT)
    if tenant is None:
        return
    for table in tree.find_all(exp.Table):
        is_function = not isinstance(table.this, exp.Identifier)
        if table.catalog or (is_function and not isinstance(table.this, exp.Anonymous | exp.Func)):
            raise QueryError(
                f"a session for tenant {tenant} sees only its own tables", hint="name tables as schema.table"
            )
    for function in tree.find_all(exp.Func):
        name = function.name if isinstance(function, exp.Anonymous) else function.sql_name()
        if name.lower().startswith(("read_", "parquet_", "sniff_", "glob", "ducklake_", "query", "duckdb_")):
            raise QueryError(
                f"a session for tenant {tenant} sees only its own tables", hint=f"leave out {name.lower()}()"
            )


def said(error: duckdb.Error) -> str:
    """What DuckDB said, without its class, its position drawing and its links."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
