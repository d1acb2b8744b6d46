"""The redaction report: which rows the privacy rules removed or emptied, by which rule, and how many users short."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from amci.amcsql.tools.linting import LintColumn

Rule = Literal["distinct", "effective", "equivalent"]

#: AMC's reason: `97 'dsp_impressions' (path 1 of 2) effective users < 100 required`.
_REASON = re.compile(
    r"(?P<has>\d+)(?:\.\d+)? '(?P<table>.*)'(?: \(path (?P<path>\d+) of (?P<paths>\d+)\))?"
    r" (?:(?P<rule>effective|equivalent) )?users < (?P<needs>\d+) required"
)
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
    path: str  #: which of several reads of the table, such as `1 of 2`; empty where there is one
    needs: int  #: users
    rows: int
    nearest: int  #: the most users that one of these rows has

    def sentence(self) -> str:
        """As people say it."""
        table = f"'{self.table}'" + (f" (read {self.path})" if self.path else "")
        return _SAID[self.rule].format(needs=self.needs, table=table, nearest=self.nearest)


@dataclass(frozen=True, slots=True, kw_only=True)
class HiddenRow:
    """A row that was taken away."""

    values: dict[str, Any]  #: by column, as they were
    has: int
    needs: int
    short: int  #: how many users are missing
    reason: str  #: AMC's words


@dataclass(frozen=True, slots=True, kw_only=True)
class RedactionReport:
    """What became of a result's rows."""

    rows: int  #: in all
    hidden: int  #: removed or emptied
    is_emptied: bool  #: values were taken out, and what was left was added up
    causes: Sequence[Cause]  #: most rows first
    hidden_rows: Sequence[HiddenRow]  #: nearest first
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
        return asdict(self)


def report(
    names: Sequence[str],
    redacted: Sequence[Sequence[Any]],
    *,
    untouched: int,
    is_emptied: bool,
    columns: Sequence[LintColumn],
) -> RedactionReport:
    """`redacted` rows have the values of `names`, then how many users they need, how many they have, AMC's reason."""
    found = [_hidden(names, row) for row in redacted]
    found.sort(key=lambda row: (row.short, -row.has, str(row.values)))
    return RedactionReport(
        rows=untouched + len(found),
        hidden=len(found),
        is_emptied=is_emptied,
        causes=_causes(found),
        hidden_rows=found,
        helps=list(_helps(found, columns)),
    )


def _hidden(names: Sequence[str], row: Sequence[Any]) -> HiddenRow:
    needs, has, reason = row[len(names) : len(names) + 3]
    said = _REASON.fullmatch(reason or "")
    if said:  # of an equivalent count, two are enough
        has, needs = int(said["has"]), int(said["needs"])
    return HiddenRow(
        values=dict(zip(names, row, strict=False)),
        has=int(has or 0),
        needs=int(needs),
        short=max(0, int(needs) - int(has or 0)),
        reason=str(reason or ""),
    )


def _causes(rows: Sequence[HiddenRow]) -> list[Cause]:
    by_cause: dict[tuple[Rule, str, str, int], list[int]] = {}
    for row in rows:
        said = _REASON.fullmatch(row.reason)
        table = said["table"] if said else row.reason
        path = f"{said['path']} of {said['paths']}" if said and said["path"] else ""
        rule: Rule = said["rule"] or "distinct" if said else "distinct"  # type: ignore[assignment]
        by_cause.setdefault((rule, table, path, row.needs), []).append(row.has)
    causes = [
        Cause(rule=rule, table=table, path=path, needs=needs, rows=len(has), nearest=max(has))
        for (rule, table, path, needs), has in by_cause.items()
    ]
    return sorted(causes, key=lambda cause: (-cause.rows, cause.table, cause.path, cause.rule))


def _helps(rows: Sequence[HiddenRow], columns: Sequence[LintColumn]) -> Iterator[str]:
    """What a person can change, in the order of how much it brings."""
    yield from _leaving_out(rows, columns)
    near = [row for row in rows if row.needs > _PAIR and 2 * row.has >= row.needs]
    if near:
        yield f"a longer time window: {_counted(near)} half the users they need, or more"
    uneven = [row for row in rows if " equivalent " in row.reason]
    if uneven:
        yield f"wider groups or a longer window: {_counted(uneven)} one user who outweighs all others"
    single = [row for row in rows if row.has <= 1 and row not in uneven]
    if single:
        yield f"wider groups: {_counted(single)} one known user or none, and such rows are never shown"


def _counted(rows: Sequence[HiddenRow]) -> str:
    return f"{len(rows)} of the hidden rows {'has' if len(rows) == 1 else 'have'}"


def _leaving_out(rows: Sequence[HiddenRow], columns: Sequence[LintColumn]) -> Iterator[str]:
    needed = max((column.users or 1 for column in columns), default=1)
    those = [column.name for column in columns if column.users == needed]
    rest = max((column.users or 1 for column in columns if column.users != needed), default=1)
    saved = [row for row in rows if row.needs > rest and row.has >= rest]
    if saved and needed > _PAIR:
        yield (
            f"leave out {' and '.join(those)}: then {rest} user{'s are' if rest > 1 else ' is'} enough,"
            f" which {_counted(saved)} even now"
        )
