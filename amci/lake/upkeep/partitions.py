"""Tables whose files are partitioned otherwise than the configuration says now.

`partition_by` of a dataset can change. What is loaded from then on goes by the new columns; files that were there keep
theirs, which answers every query, but prunes less. `amci lake rewrite` brings them over.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import duckdb

from amci.kernel.clock import Clock
from amci.kernel.errors import NotFound
from amci.kernel.runs import RunStore
from amci.kernel.state import State
from amci.lake.catalog.duck import LEDGER, METADATA
from amci.lake.catalog.tables import TableName
from amci.lake.datasets.dataset import Dataset


@dataclass(frozen=True, slots=True, kw_only=True)
class Repartition:
    """A table that is to be partitioned otherwise."""

    name: TableName
    have: tuple[str, ...]  #: columns that new files were partitioned by so far
    want: tuple[str, ...]  #: columns that they are to be partitioned by
    files: int  #: data files that are not

    def says(self) -> str:
        """In one sentence."""
        if self.want:
            by = ", ".join(self.want)
            return f"{self.files} files are not partitioned by {by}; new ones are. `amci lake rewrite {self.name}`"
        by = ", ".join(self.have)
        return f"{self.files} files are partitioned by {by}, and so are new ones. `amci lake rewrite {self.name}`"


def outdated(
    con: duckdb.DuckDBPyConnection, state: State, clock: Clock, datasets: Iterable[Dataset]
) -> list[Repartition]:
    """The tables with such files, by name; `con` has the lake attached."""
    schemas = {dataset.schema_name: dataset for dataset in datasets}
    runs = RunStore(state, clock)
    columns: dict[int, list[str]] = {}
    current: dict[int, int] = {}
    for table_id, partition_id, column in con.execute(_KEYS).fetchall():
        columns.setdefault(table_id, []).append(column)
        current[table_id] = partition_id
    files: dict[int, list[tuple[int | None, int]]] = {}
    for table_id, partition_id, count in con.execute(_FILES).fetchall():
        files.setdefault(table_id, []).append((partition_id, count))
    found = []
    for table_id, schema, table, run_id, names in con.execute(_TABLES).fetchall():
        if schema not in schemas:
            continue
        have = tuple(columns.get(table_id, ()))
        want = _wanted(schemas[schema], runs, run_id, set(names), have)
        # Of a table whose partitioning is to change, no file is as it is to be.
        good = current.get(table_id) if have == want else -1
        wrong = sum(count for partition_id, count in files.get(table_id, ()) if partition_id != good)
        if wrong:
            found.append(Repartition(name=TableName(schema, table), have=have, want=want, files=wrong))
    return found


def _wanted(
    dataset: Dataset, runs: RunStore, run_id: int, names: set[str], have: tuple[str, ...]
) -> tuple[str, ...]:
    """The partitions that a load would make now: those of the key, as of the newest load, and the dataset's."""
    try:
        placed = tuple(runs.get(run_id).payload.get("partition", {}))
    except NotFound:
        return have
    every = placed + tuple(column for column in dataset.partition_by if column not in placed)
    return tuple(column for column in every if column in names)


_NOW = "end_snapshot IS NULL"
_KEYS = f"""
    SELECT p.table_id, p.partition_id, c.column_name
      FROM {METADATA}.ducklake_partition_info p
      JOIN {METADATA}.ducklake_partition_column k ON k.partition_id = p.partition_id AND k.table_id = p.table_id
      JOIN {METADATA}.ducklake_column c ON c.table_id = p.table_id AND c.column_id = k.column_id AND c.{_NOW}
     WHERE p.{_NOW} ORDER BY k.partition_key_index"""
_FILES = f"""
    SELECT table_id, partition_id, count(*) FROM {METADATA}.ducklake_data_file WHERE {_NOW} GROUP BY ALL"""
_TABLES = f"""
    SELECT t.table_id, s.schema_name, t.table_name, l.run_id, list(c.column_name)
      FROM {METADATA}.ducklake_table t
      JOIN {METADATA}.ducklake_schema s ON s.schema_id = t.schema_id AND s.{_NOW}
      JOIN (SELECT schema_name, table_name, max(run_id) AS run_id FROM {LEDGER} GROUP BY ALL) l
        ON l.schema_name = s.schema_name AND l.table_name = t.table_name
      JOIN {METADATA}.ducklake_column c ON c.table_id = t.table_id AND c.{_NOW}
     WHERE t.{_NOW} GROUP BY ALL ORDER BY s.schema_name, t.table_name"""
