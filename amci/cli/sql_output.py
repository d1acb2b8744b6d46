"""The result of a query and the differences of two, as people and programs want them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from amci.amcsql.tools.result_diff import ResultDiff, Version
from amci.app.query_runner import Ran
from amci.cli.output import Output
from amci.kernel.errors import UsageError
from amci.kernel.text import aligned, json_text, plain, shown
from amci.sandbox.results import csv, format_of

FORMATS = ("table", "csv", "json")
_SHOWN = 100  #: rows of a table
_WIDEST = 60
_AUDIENCE = "AMC makes an audience of 2,000 people and more"


def show(out: Output, ran: Ran, form: str, *, explains: bool) -> None:
    """The rows, and how many were taken away; `explains`: also which, and why."""
    if out.as_json:
        out.record(_plainly(ran.document() if explains else ran.document() | {"redaction": _counts(ran)}))
        return
    _FORMS[form](out, ran)
    tell: Callable[[str], None] = out.text if form == "table" else out.note
    for line in _told(ran, explains=explains):
        tell(line)


def check_format(form: str) -> None:
    """Raise UsageError for an unknown format."""
    if form not in FORMATS:
        raise UsageError(f"there is no format '{form}'", hint=f"one of {', '.join(FORMATS)}")


def _counts(ran: Ran) -> dict[str, Any] | None:
    """How many rows were taken away, without the rows themselves."""
    if ran.report is None:
        return None
    return {name: value for name, value in ran.report.document().items() if name != "hidden_rows"}


def _table(out: Output, ran: Ran) -> None:
    _rows(out, ran.names, ran.rows, "--format csv or json gives all")


def _csv(out: Output, ran: Ran) -> None:
    text = csv(ran.names, ran.rows, format_of(ran.query_input.workflow.output_format))
    out.stdout.write(text.decode())


def _json(out: Output, ran: Ran) -> None:
    rows = [dict(zip(ran.names, row, strict=True)) for row in ran.rows]
    out.stdout.write(json_text(_plainly(rows), default=plain, indent=1) + "\n")


_FORMS: Mapping[str, Callable[[Output, Ran], None]] = {"table": _table, "csv": _csv, "json": _json}


def _rows(out: Output, names: Sequence[str], rows: Sequence[Sequence[Any]], all_of_them: str) -> None:
    widest = None if out.width is None else _WIDEST
    for line in aligned(names, rows[:_SHOWN], widest=widest, show=cell):
        out.text(line)
    if len(rows) > _SHOWN:
        out.text(f"({_SHOWN} of {len(rows):,} rows; {all_of_them})")
    else:
        out.text(f"({len(rows)} row{'' if len(rows) == 1 else 's'})")


def cell(value: Any) -> str:
    """A value of a row: NULL is said, arrays and named rows stand in brackets as in AMC's files."""
    if value is None:
        return "NULL"
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return f"[{', '.join('null' if each is None else cell(each) for each in value)}]"
    return f"{value:f}" if isinstance(value, Decimal) else shown(value)


def _told(ran: Ran, *, explains: bool) -> Iterator[str]:
    """What became of the other rows."""
    if ran.report is None:
        yield _AUDIENCE if ran.query_input.is_for_audiences else "no privacy rules hold: nothing was hidden"
        return
    lines = list(ran.report.lines())
    if not explains:
        yield lines[0].removesuffix(":") + ("; --explain-redaction says why" if ran.report.hidden else "")
        return
    yield from lines
    if ran.report.hidden:
        yield ""
        names = [*ran.report.hidden_rows[0].values, "has users", "needs", "short", "reason"]
        rows = [
            [*row.values.values(), row.count, row.limit, row.short, row.reason]
            for row in ran.report.hidden_rows
        ]
        yield from aligned(names, rows[:_SHOWN], widest=None, show=cell)
        if len(rows) > _SHOWN:
            yield f"({_SHOWN} of {len(rows):,} hidden rows, the nearest first; --json gives all)"


# ---- two versions


def version(ran: Ran) -> Version:
    """A result as one side of a comparison; names in lower case, as AMC's files have them."""
    outputs = ran.compiled.outputs
    names = [name.lower() for name in ran.names]
    keys = [column.name.lower() for column in ran.lint.columns if column.is_key]
    sums = [
        output.name.lower()
        for output in outputs
        if output.facts.is_summed and output.facts.is_metric and output.name.lower() in names
    ]
    return Version(
        columns=names,
        keys=[] if ran.query_input.is_for_audiences else keys,
        sums=sums,
        rows=ran.rows,
        report=ran.report,
    )


def show_difference(out: Output, found: ResultDiff, a: str, b: str) -> None:
    """How two results differ."""
    if out.as_json:
        out.record(_plainly({"a": a, "b": b, **found.document()}))
        return
    for line in difference_lines(found, a, b):
        out.text(line)


def difference_lines(found: ResultDiff, a: str, b: str) -> Iterator[str]:
    """The same for people."""
    yield f"a  {a}: {found.rows[0]} rows, {found.hidden[0]} hidden"
    yield f"b  {b}: {found.rows[1]} rows, {found.hidden[1]} hidden"
    if found.is_same:
        yield "the rows are the same"
    for side, columns in (("a", found.columns_only_in_a), ("b", found.columns_only_in_b)):
        if columns:
            yield f"columns only in {side}: {', '.join(columns)}"
    if not found.is_matched:
        yield f"several rows have the same {', '.join(found.key) or 'key'}, so whole rows are compared"
    for side, rows in (("a", found.rows_only_in_a), ("b", found.rows_only_in_b)):
        if rows:
            yield from ("", f"rows only in {side}: {len(rows)}")
            yield from _cut(list(rows[0]), [list(row.values()) for row in rows])
    if found.changed:
        yield from ("", f"changed values: {len(found.changed)}")
        names = [*found.changed[0].key, "column", "a", "b"]
        yield from _cut(names, [[*c.key.values(), c.column, c.a, c.b] for c in found.changed])
    if found.totals:
        yield ""
        totals = [[t.column, t.a, t.b, _percent(t.change)] for t in found.totals]
        yield from aligned(["total shown", "a", "b", "change"], totals, widest=None, show=cell)
    if found.hidden_by:
        yield ""
        hidden = [[said, *counts] for said, counts in found.hidden_by.items()]
        yield from aligned(["rows hidden by", "a", "b"], hidden, widest=None)


def _cut(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Iterator[str]:
    yield from aligned(names, rows[:_SHOWN], widest=_WIDEST, show=cell)
    if len(rows) > _SHOWN:
        yield f"({_SHOWN} of {len(rows):,}; --json gives all)"


def _percent(change: float | None) -> str:
    return "" if change is None else f"{change:+.1%}"


def _plainly(value: Any) -> Any:
    """The same with decimals as numbers."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, Mapping):
        return {name: _plainly(each) for name, each in value.items()}
    return [_plainly(each) for each in value] if isinstance(value, list | tuple) else value
