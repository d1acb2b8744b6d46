"""Holding an object's typed rows against its dataset's quality rules."""

from __future__ import annotations

from pathlib import Path

import duckdb

from amci.kernel.errors import QualityError
from amci.kernel.files import replacing
from amci.kernel.layout import file_stem
from amci.kernel.names import literal, quoted
from amci.lake.catalog.catalog import TableName
from amci.lake.datasets import quality
from amci.lake.datasets.objects import ROW
from amci.lake.landing.object_store import Quarantined
from amci.lake.loading.loads import LoadItem


def check_quality(
    con: duckdb.DuckDBPyConnection, item: LoadItem, name: TableName, table: str, quarantine: Path
) -> None:
    """Leave in temp table `table` only rows that no rule keeps out; those go to files below `quarantine`.

    What was found is noted on the item. Raises QualityError for a rule with `on_fail: fail` that is broken.
    """
    if not item.dataset.quality:
        return
    _number_rows(con, table)
    kept_out = []
    for finding in quality.check(con, table, quality.rules(item.dataset.quality), ROW):
        if finding.on_fail == "fail":
            raise QualityError(finding.rule, f"{finding.count} rows do not hold it")
        item.notes.append({"rule": finding.rule, "on_fail": finding.on_fail, "rows": finding.count})
        if finding.on_fail == "quarantine_rows" and finding.row_ids_sql:
            item.findings.append(_set_aside(con, item, name, table, finding, quarantine))
            kept_out.append(f"SELECT * FROM ({finding.row_ids_sql})")
    if kept_out:
        con.execute(
            f"CREATE OR REPLACE TEMP TABLE {quoted(table)} AS SELECT * FROM {quoted(table)}"
            f" WHERE {ROW} NOT IN ({' UNION '.join(kept_out)})"
        )


def _number_rows(con: duckdb.DuckDBPyConnection, table: str) -> None:
    """Give the rows a number if the transform kept none, so that a rule can name them."""
    if ROW not in con.table(table).columns:
        con.execute(
            f"CREATE OR REPLACE TEMP TABLE {quoted(table)} AS"
            f" SELECT *, row_number() OVER () AS {ROW} FROM {quoted(table)}"
        )


def _set_aside(
    con: duckdb.DuckDBPyConnection,
    item: LoadItem,
    name: TableName,
    table: str,
    finding: quality.QualityFinding,
    quarantine: Path,
) -> Quarantined:
    """Write the rows that break one rule to a file of their own."""
    file = f"{item.object_id}v{item.version}.{file_stem(finding.rule)}.parquet"
    path = quarantine / name.schema / name.table / file
    bad = f"SELECT * FROM {quoted(table)} WHERE {ROW} IN ({finding.row_ids_sql})"
    with replacing(path) as part:
        con.execute(f"COPY ({bad}) TO {literal(str(part))} (FORMAT parquet)")
    return Quarantined(
        object_id=item.object_id,
        version=item.version,
        stage="quality",
        part=f"{name}:{finding.rule}",
        reason=f"quality rule {finding.rule}",
        hint="correct the rule or the file, then run `amci lake reprocess`",
        rows=finding.count,
        path=f"{path.relative_to(quarantine.parent)}",
        run_id=item.run.run_id,
    )
