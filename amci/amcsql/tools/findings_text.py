"""What was found in a query, as lines for people: where, what, the line itself, what to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from amci.amcsql.findings import Finding, Place
from amci.amcsql.tools.linting import Lint, LintColumn, LintParameter, LintTable
from amci.kernel.text import cell_width

COLUMNS = ("column", "type", "kind", "threshold", "users", "because of")
TABLES = ("table", "category", "kind", "reads", "needs")
PARAMETERS = ("parameter", "type", "default", "is")
_NEEDS = {
    "included": "nothing",
    "paid": "a subscription",
    "uploaded": "an upload of your own",
    "audiences": "an audience: no workflow reads it",
}
#: From here on it is worth saying what makes a column sensitive.
_MANY_USERS = 100


def finding_lines(finding: Finding, sql: str, shown: str, moved: Place) -> Iterator[str]:
    """One finding: `file:line:column: error: …`, the line with a mark below it, and the hint."""
    yield f"{shown}:{moved.line}:{moved.column}: {finding.severity}: {finding.text} [{finding.code}]"
    yield from _marked(sql, finding.place, moved.line)
    if finding.hint:
        yield f"  hint: {finding.hint}"


def in_file(place: Place, first_line: int, indent: int) -> Place:
    """A place of a text where it stands in a file: so many lines further down, so many columns to the right."""
    return replace(
        place,
        line=place.line + first_line,
        end_line=place.end_line + first_line,
        column=place.column + indent,
        end_column=place.end_column + indent,
    )


def _marked(sql: str, place: Place, number: int) -> Iterator[str]:
    """The line that a finding begins on, and carets below what is meant."""
    lines = sql.splitlines()
    if place.line > len(lines):
        return
    line = lines[place.line - 1]
    end = place.end_column if place.end_line == place.line else len(line)
    before = "".join("\t" if c == "\t" else " " * cell_width(c) for c in line[: place.column - 1])
    margin = f"{number:5} | "
    yield f"{margin}{line}"
    yield f"{' ' * 5} | {before}{'^' * max(1, cell_width(line[place.column - 1 : end]))}"


def summary(lint: Lint) -> str:
    """One line: whether AMC would take it, and what a row needs."""
    counts = [
        f"{len(found)} {severity}{'' if len(found) == 1 else 's'}"
        for severity in ("error", "warning", "note")
        if (found := [each for each in lint.findings if each.severity == severity])
    ]
    if lint.errors:
        return ", ".join(counts)
    needs = "an audience" if lint.kind == "audience" else _needs(lint)
    return ", ".join([f"fine: {needs}", *counts])


def _needs(lint: Lint) -> str:
    count = len(lint.columns)
    users = "no users" if lint.users == 1 else f"{lint.users} users"
    return f"{count} column{'' if count == 1 else 's'}, a row needs {users}"


def column_row(column: LintColumn) -> Sequence[object]:
    """A line of COLUMNS."""
    because = ", ".join(column.because) if (column.users or _MANY_USERS) >= _MANY_USERS else ""
    users = "never shown" if column.users is None else column.users
    return column.name, column.type, column.kind, column.threshold, users, because


def table_row(table: LintTable) -> Sequence[object]:
    """A line of TABLES."""
    return table.name, table.category, table.kind, table.reads, _NEEDS[table.access]


def parameter_row(parameter: LintParameter) -> Sequence[object]:
    """A line of PARAMETERS."""
    stands = (
        "missing: not declared"
        if not parameter.is_declared
        else "used"
        if parameter.is_used
        else "declared, and not used"
    )
    kind = parameter.data_type
    if isinstance(kind, dict):
        kind = f"ARRAY of {kind.get('elementDataType', 'STRING')}"
    return parameter.name, kind or "", parameter.default, stands
