"""The redaction report: which rows the privacy rules removed or emptied, by which rule, and how many users short."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from amci.amcsql.privacy.thresholds import RedactedRow, Rule, TableRead
from amci.amcsql.tools.linting import LintColumn

_SAID = {
    "distinct": "had fewer than {needs} users of {table}; the closest had {nearest}",
    "effective": "had fewer than {needs} users of {table} who contribute to a metric; the closest had {nearest}",
    "equivalent": "had one user of {table} who makes up more than half of a metric",
}
_PAIR = 2  #: users, the least that a row with a threshold needs


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One rule that took rows away."""

    rule: Rule
    table: str
    path: str  #: which of several reads of the table, such as `1 of 2`; empty if there is one
    needs: int  #: users
    rows: int
    nearest: int  #: the most users that one of these rows has

    def sentence(self) -> str:
        """As people say it."""
        table = f"'{self.table}'" + (f" (read {self.path})" if self.path else "")
        return _SAID[self.rule].format(needs=self.needs, table=table, nearest=self.nearest)


@dataclass(frozen=True, slots=True, kw_only=True)
class RedactionReport:
    """What became of a result's rows."""

    rows: int  #: in all
    hidden: int  #: removed or emptied
    is_emptied: bool  #: values were taken out, and what was left was added up
    causes: Sequence[Cause]  #: most rows first
    hidden_rows: Sequence[RedactedRow]  #: nearest first
    helps: Sequence[str]

    def lines(self) -> Iterator[str]:
        """The summary for people."""
        became = "emptied" if self.is_emptied else "removed"
        if not self.hidden:
            yield f"none of the {self.rows} rows was {became}"
            return
        share = 100 * self.hidden / self.rows
        yield f"{self.hidden} of {self.rows} rows {'was' if self.hidden == 1 else 'were'} {became} ({share:.0f} %):"
        width = len(str(self.causes[0].rows))
        for cause in self.causes:
            yield f"  {cause.rows:{width}} {cause.sentence()}"
        if self.helps:
            yield "what helps:"
            yield from (f"  - {each}" for each in self.helps)

    def document(self) -> dict[str, Any]:
        """For programs."""
        return asdict(replace(self, hidden_rows=())) | {
            "hidden_rows": [_document(row) for row in self.hidden_rows]
        }


def report(
    redacted: Sequence[RedactedRow], *, untouched: int, is_emptied: bool, columns: Sequence[LintColumn]
) -> RedactionReport:
    """What became of `untouched` rows and of those that were `redacted`; `columns` are the result's."""
    rows = sorted(redacted, key=lambda row: (row.short, -row.count, str(row.values)))
    return RedactionReport(
        rows=untouched + len(rows),
        hidden=len(rows),
        is_emptied=is_emptied,
        causes=_causes(rows),
        hidden_rows=rows,
        helps=list(_helps(rows, columns)),
    )


def _document(row: RedactedRow) -> dict[str, Any]:
    return {
        "values": row.values,
        "rule": row.rule,
        "table": row.read.table,
        "path": row.read.path,
        "has": row.count,
        "needs": row.limit,
        "short": row.short,
        "columns": row.columns,
        "reason": row.reason,
    }


def _causes(rows: Sequence[RedactedRow]) -> list[Cause]:
    by_cause: dict[tuple[Rule, TableRead, int], list[int]] = {}
    for row in rows:
        by_cause.setdefault((row.rule, row.read, row.limit), []).append(row.count)
    causes = [
        Cause(rule=rule, table=read.table, path=read.path, needs=limit, rows=len(counts), nearest=max(counts))
        for (rule, read, limit), counts in by_cause.items()
    ]
    return sorted(causes, key=lambda cause: (-cause.rows, cause.table, cause.path, cause.rule))


def _helps(rows: Sequence[RedactedRow], columns: Sequence[LintColumn]) -> Iterator[str]:
    """What a person can change, in the order of how much it brings."""
    yield from _leaving_out(rows, columns)
    near = [row for row in rows if row.limit > _PAIR and 2 * row.count >= row.limit]
    if near:
        yield f"a longer time window: {_counted(near)} half the users they need, or more"
    uneven = [row for row in rows if row.rule == "equivalent"]
    if uneven:
        yield f"wider groups or a longer window: {_counted(uneven)} one user who outweighs all others"
    single = [row for row in rows if row.count <= 1 and row not in uneven]
    if single:
        yield f"wider groups: {_counted(single)} one known user or none, and such rows are never shown"


def _counted(rows: Sequence[RedactedRow]) -> str:
    return f"{len(rows)} of the hidden rows {'has' if len(rows) == 1 else 'have'}"


def _leaving_out(rows: Sequence[RedactedRow], columns: Sequence[LintColumn]) -> Iterator[str]:
    needed = max((column.users or 1 for column in columns), default=1)
    those = [column.name for column in columns if column.users == needed]
    rest = max((column.users or 1 for column in columns if column.users != needed), default=1)
    saved = [row for row in rows if row.limit > rest and row.count >= rest]
    if saved and needed > _PAIR:
        yield (
            f"leave out {' and '.join(those)}: then {rest} user{'s are' if rest > 1 else ' is'} enough,"
            f" which {_counted(saved)} even now"
        )
