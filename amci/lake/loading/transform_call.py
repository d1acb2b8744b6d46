"""Running a transform on rows; its errors are reported as its own."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import duckdb
import pyarrow as pa

from amci.kernel import log
from amci.kernel.errors import AmciError, TransformError
from amci.kernel.names import column_names, literal, quoted, table_name
from amci.kernel.plugins import Transform
from amci.lake.catalog.duck import NAMING_ERRORS, first_line
from amci.lake.catalog.headers import FileColumns, file_columns
from amci.lake.datasets.objects import Placement, RawObject, Skip


@contextmanager
def _blaming(transform: Transform) -> Iterator[None]:
    """Whatever goes wrong inside is the plugin's; its traceback goes to the log."""
    try:
        yield
    except AmciError:
        raise
    except BaseException as error:
        log.get(__name__).exception("transform failed", transform=transform.name)
        words = first_line(error) if isinstance(error, NAMING_ERRORS) else type(error).__name__
        raise TransformError(
            transform.name,
            f"raised {words}",
            hint=f"see the log for its traceback, correct {transform.origin}, then redrive",
        ) from error


def place(transform: Transform, obj: RawObject) -> Placement | Skip:
    """Ask a transform that takes only the object for the placement of its rows.

    Raises TransformError if it fails or returns something else; a DataError it raises passes through.
    """
    if transform.load is None:
        raise TransformError(transform.name, "a .sql transform cannot place an object")
    with _blaming(transform):
        answer = transform.load()(obj=obj)
    if not isinstance(answer, Placement | Skip):
        raise TransformError(transform.name, "should return a Placement or a Skip")
    if isinstance(answer, Placement) and ("/" in answer.table or not answer.table.strip(".")):
        # A field of the key may have any character; the table's name is that of a folder.
        return replace(answer, table=table_name(answer.table))
    return answer


def run(
    transform: Transform,
    con: duckdb.DuckDBPyConnection,
    source: str,
    obj: RawObject,
    into: str,
    *,
    columns: FileColumns,
    kept: Collection[str],
) -> Skip | FileColumns:
    """Run a transform on the rows of `source`, a table or view of `con`; its rows become temp table `into`.

    A Python transform gets `rows` (a DuckDB relation) and `obj`. It returns a relation, an Arrow table, batch
    or reader, a Polars frame, or a Skip; then there is no table. A SQL transform is one SELECT from `rows`;
    `getvariable('key')`, `'tenant'`, `'dataset'` and the names of the dataset's pattern are there.
    The columns of the result get catalogue names. Returns them: what has the name of one of `columns`, those of
    the source, is it; others have the transform's own name for a header. `kept` as for `column_names`.
    Raises TransformError.
    """
    with _blaming(transform), _variables(con, obj):
        if transform.load is None:
            answer = _select(transform, con, source)
        else:
            function = transform.load()
            given = {"rows": con.table(source), "obj": obj}
            wanted = function.__code__.co_varnames[: function.__code__.co_argcount]
            answer = function(**{name: given[name] for name in wanted})
        if isinstance(answer, Skip):
            return answer
        relation = _relation(transform, con, answer)
        spelled = relation.columns
        names = column_names(spelled, kept=kept)
        listed = ", ".join(f"{quoted(old)} AS {quoted(new)}" for old, new in zip(spelled, names, strict=True))
        # All threads see a view: a name that two of them use would give one the rows of the other.
        view = f"{into} transformed"
        relation.create_view(view, replace=True)
        con.execute(f"CREATE OR REPLACE TEMP TABLE {quoted(into)} AS SELECT {listed} FROM {quoted(view)}")
        con.execute(f"DROP VIEW {quoted(view)}")
    made = file_columns(tuple(names), tuple((name,) for name in spelled), frozenset())
    own = dict(zip(names, spelled, strict=True))
    return FileColumns(
        headers={name: columns.headers.get(own[name], header) for name, header in made.headers.items()},
        earlier={
            name: earlier
            for name, old in own.items()
            if (earlier := columns.earlier.get(old) or made.earlier.get(name))
        },
    )


def _relation(transform: Transform, con: duckdb.DuckDBPyConnection, answer: Any) -> duckdb.DuckDBPyRelation:
    if isinstance(answer, duckdb.DuckDBPyRelation):
        return answer
    if type(answer).__module__.partition(".")[0] == "polars":
        # Polars takes a while to import, and only those who use it have.
        import polars as pl

        answer = answer.collect() if isinstance(answer, pl.LazyFrame) else answer
        answer = answer.to_arrow() if isinstance(answer, pl.DataFrame) else answer
    if isinstance(answer, pa.RecordBatch):
        answer = pa.Table.from_batches([answer])
    if isinstance(answer, pa.RecordBatchReader):
        # DuckDB reads a relation's source twice here, and a reader gives its rows only once.
        answer = answer.read_all()
    if isinstance(answer, pa.Table):
        return con.from_arrow(answer)
    raise TransformError(
        transform.name,
        f"returned {type(answer).__name__}; a relation, Arrow table, Polars frame or Skip was expected",
        hint=f"correct {transform.origin}, then redrive",
    )


@contextmanager
def _variables(con: duckdb.DuckDBPyConnection, obj: RawObject) -> Iterator[None]:
    """What SQL finds with `getvariable`; gone afterwards, so that no object sees another one's tenant."""
    values = {**obj.fields, "key": obj.key, "dataset": obj.dataset.dataset}
    if obj.tenant:
        values["tenant"] = obj.tenant.tenant
    for name, value in values.items():
        con.execute(f"SET VARIABLE {quoted(name)} = {literal(value)}")
    try:
        yield
    finally:
        for name in values:
            con.execute(f"RESET VARIABLE {quoted(name)}")


def _select(transform: Transform, con: duckdb.DuckDBPyConnection, source: str) -> duckdb.DuckDBPyRelation:
    text = transform.sql or ""
    statements = con.extract_statements(text)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise TransformError(transform.name, "should be one SELECT", hint=f"correct {transform.origin}")
    con.execute(f"CREATE OR REPLACE TEMP VIEW rows AS SELECT * FROM {quoted(source)}")
    return con.sql(statements[0].query)
