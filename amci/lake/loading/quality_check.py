"""Holding an object's typed rows against its dataset's quality rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from amci.kernel.errors import QualityError
from amci.kernel.files import replacing
from amci.kernel.layout import file_stem
from amci.kernel.names import did_you_mean, literal, quoted, sanitized
from amci.lake.catalog.duck import NAMING_ERRORS, first_line
from amci.lake.catalog.headers import FileColumns
from amci.lake.catalog.tables import TableName
from amci.lake.datasets import quality
from amci.lake.datasets.objects import ROW
from amci.lake.landing.object_store import Quarantined
from amci.lake.loading.loads import LoadItem


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityFinding:
    """A rule that does not hold."""

    rule: str  #: its name
    on_fail: quality.OnFail
    count: int  #: rows that break it; for row_count the rows there are
    row_ids_sql: str | None  #: a SELECT of their ids; None for row_count


def check_quality(
    con: duckdb.DuckDBPyConnection,
    item: LoadItem,
    name: TableName,
    table: str,
    columns: FileColumns,
    quarantine: Path,
) -> None:
    """Leave in temp table `table` only rows that no rule keeps out; those go to files below `quarantine`.

    `columns` are the table's, with their headers.

    What was found is noted on the item. Raises QualityError for a rule with `on_fail: fail` that is broken.
    """
    if not item.dataset.quality:
        return
    _number_rows(con, table)
    kept_out = []
    for finding in broken_rules(con, table, quality.rules(item.dataset.quality), ROW, columns):
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
    """Give the rows numbers of their own, so that a rule can name them, unless the transform kept those they had.

    A transform that adds or repeats rows (UNION, unnest, a join) leaves rows without a number, or several with one.
    """
    own = [column for column in con.table(table).columns if column.lower() == ROW]
    counts = f"SELECT count(*), count(DISTINCT {ROW}) FROM {quoted(table)}"
    if own:
        rows, numbers = con.execute(counts).fetchall()[0]
        if rows == numbers:
            return
    others = f"* EXCLUDE ({quoted(own[0])})" if own else "*"
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE {quoted(table)} AS"
        f" SELECT {others}, row_number() OVER () AS {ROW} FROM {quoted(table)}"
    )


def _set_aside(
    con: duckdb.DuckDBPyConnection,
    item: LoadItem,
    name: TableName,
    table: str,
    finding: QualityFinding,
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


def broken_rules(
    con: duckdb.DuckDBPyConnection,
    rows: str,
    rules: Sequence[quality.CompiledRule],
    row_id: str,
    columns: FileColumns | None = None,
) -> list[QualityFinding]:
    """The rules that do not hold for `rows`, a table or view whose column `row_id` is a unique BIGINT.

    Columns are found without regard to case, by catalogue name, or by header. Raises QualityError if a rule names a
    column the table lacks or cannot be evaluated on it. Findings and errors hold names and counts, no values.
    """
    described = con.execute(f"DESCRIBE {quoted(rows)}").fetchall()
    have = {sanitized(name): (name, sql_type) for name, sql_type, *_ in described}
    have |= {name.lower(): (name, sql_type) for name, sql_type, *_ in described}
    findings = []
    for rule in rules:
        types = dict(_found(rule, column, have, columns) for column in rule.columns)
        try:
            finding = _finding(con, quoted(rows), rule, types, row_id)
        except duckdb.Error as error:
            unevaluated = f"it cannot be evaluated on these rows ({type(error).__name__})"
            reason = first_line(error) if isinstance(error, NAMING_ERRORS) else unevaluated
            raise QualityError(rule.name, reason) from None
        if finding:
            findings.append(finding)
    return findings


def _found(
    rule: quality.CompiledRule,
    column: str,
    have: Mapping[str, tuple[str, str]],
    columns: FileColumns | None,
) -> tuple[str, str]:
    by_header = columns.named(column) if columns else None
    found = have.get(column.lower()) or have.get(by_header or "") or have.get(sanitized(column))
    if not found:
        raise QualityError(
            rule.name, f"the table has no column {column}{did_you_mean(sanitized(column), have)}"
        )
    return found


def _finding(
    con: duckdb.DuckDBPyConnection,
    rows: str,
    rule: quality.CompiledRule,
    types: Mapping[str, str],
    row_id: str,
) -> QualityFinding | None:
    wanted, ids = rule.spec.row_count, None
    if wanted:
        count = _count(con, rows)
        is_held = wanted.min <= count <= (count if wanted.max is None else wanted.max)
    else:
        if rule.spec.sql is not None:
            returned = con.execute(f"DESCRIBE {quality.selected(rows, rule.spec.sql)}").fetchall()
            if row_id not in {name for name, *_ in returned}:
                raise QualityError(rule.name, f"its SELECT has to return the column {row_id}; SELECT * does")
        ids = rule.violations(rows, quoted(row_id), types)
        count = _count(con, f"({ids})")
        is_held = count == 0
        # What it found would be loaded without a word.
        if (
            is_held
            and rule.spec.sql is not None
            and _count(con, f"({quality.selected(rows, rule.spec.sql)})")
        ):
            raise QualityError(rule.name, f"its SELECT returned rows whose {row_id} is NULL; keep {row_id}")
    if is_held:
        return None
    return QualityFinding(rule=rule.name, on_fail=rule.spec.on_fail, count=count, row_ids_sql=ids)


def _count(con: duckdb.DuckDBPyConnection, rows: str) -> int:
    return int(con.execute(f"SELECT count(*) FROM {rows}").fetchall()[0][0])
