"""Columns that a dataset's definition names and none of its tables has, as `amuont` in `types: {amuont: BIGINT}`.

A file may lack a column that others have, so loading cannot tell. Once there are tables, their columns can:

    types: no table of orders has a column amuont (did you mean 'amount'?)
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from amci.kernel.names import comparable, suggestion
from amci.lake.catalog.duck import lake_tables
from amci.lake.catalog.tables import noted
from amci.lake.datasets.column_rules import ColumnRules
from amci.lake.datasets.dataset import Dataset
from amci.lake.datasets.objects import RESERVED
from amci.lake.query.session import QuerySession

#: Names of columns, each with the headers that files have for it.
_Columns = Mapping[str, Collection[str]]

#: Files of pre-stage that say which columns a heavy transform is given.
_LOOKED_AT = 100


@dataclass(frozen=True, slots=True)
class UnknownColumn:
    """A column that a setting names, and no table has."""

    setting: str  #: `types`, `pii` or `skip_if_all`
    column: str  #: as it stands there
    says: str  #: one sentence


def unknown_columns(
    session: QuerySession, dataset: Dataset, pre_stage: Path, *, but: Dataset | None = None
) -> list[UnknownColumn]:
    """What `types`, `pii` and `skip_if_all` of a dataset name, and none of its tables has; nothing if it has no table.

    What they say in `but` as well, the definition that comes with amci, is not looked at. Raises StorageError.
    """
    columns = _columns(session, dataset.schema_name)
    if not columns:
        return []
    if dataset.heavy:  # it is given others than the table has
        columns = _staged(pre_stage / dataset.team / dataset.dataset) | columns
    known = {comparable(text): name for name, headers in columns.items() for text in (name, *headers)}
    named: list[tuple[str, str]] = []
    if not but or but.types != dataset.types:
        named += [("types", c) for c in dataset.types if _is_unknown(c, known, may_lack=bool(dataset.light))]
    if not but or but.pii != dataset.pii:
        named += [("pii", column) for column in _misspelt(dataset, columns)]
    # A light transform may take the column out.
    if (column := dataset.skip_if_all) and not dataset.light and comparable(column) not in known:
        named += [("skip_if_all", column)] if not but or but.skip_if_all != column else []
    return [
        UnknownColumn(setting, column, _said(dataset, setting, column, known)) for setting, column in named
    ]


def _is_unknown(column: str, known: Mapping[str, str], *, may_lack: bool) -> bool:
    """Whether no table has the column; what a light transform may have taken out is only misspelt if one is near."""
    name = comparable(column)
    return name not in known and (not may_lack or suggestion(name, known) is not None)


def _said(dataset: Dataset, setting: str, column: str, known: Mapping[str, str]) -> str:
    near = suggestion(comparable(column), known)
    hint = f" (did you mean '{known[near]}'?)" if near else ""
    return f"{setting}: no table of {dataset.dataset} has a column {column}{hint}"


def _misspelt(dataset: Dataset, columns: _Columns) -> Iterator[str]:
    """Rules for personal data that fit no column, although there is one without a rule that is spelled nearly so.

    Other such rules may be for fields inside a column, or for one that was dropped.
    """
    rules = ColumnRules(dataset.pii)
    fitting = {
        name: [rule for header in headers if (rule := rules.of_column(name, (header,)))]
        for name, headers in columns.items()
    }
    used = {column for several in fitting.values() for column, _ in several}
    free = [comparable(name) for name, several in fitting.items() if not several]
    yield from (c for c in dataset.pii if c not in used and suggestion(comparable(c), free))


def _columns(session: QuerySession, schema: str) -> dict[str, set[str]]:
    """The columns of all tables of a schema, each with its headers."""
    tables = session.tables()
    columns: dict[str, set[str]] = {}
    for its_schema, table, comment in lake_tables(session.con):
        if its_schema != schema:
            continue
        names = [name for name, _ in tables.get((schema, table), ()) if name not in RESERVED]
        headers = noted(comment, names)[1]
        for name in names:
            columns.setdefault(name, set()).update(headers.of(name) or (name,))
    return columns


def _staged(folder: Path) -> dict[str, set[str]]:
    """The columns of some files of pre-stage, by their names alone."""
    # Here, because few need Arrow for this.
    import pyarrow as pa
    import pyarrow.parquet as pq

    names: dict[str, set[str]] = {}
    for file in islice(folder.rglob("*.parquet"), _LOOKED_AT):
        # Upkeep may have taken the file.
        with suppress(OSError, pa.ArrowException):
            names |= {name: {name} for name in pq.read_schema(file).names}
    return names
