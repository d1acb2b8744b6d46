"""What is found in a query: where it stands, what is wrong with it, and what to do (amc-api 1.5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from amci.kernel.errors import AmciError

if TYPE_CHECKING:
    from sqlglot import exp

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True)
class Place:
    """From the first character to the last, both counted from 1 and both included."""

    line: int
    column: int
    end_line: int
    end_column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing about a query."""

    severity: Severity
    code: str  #: stable, for editors: `unknown-column`
    text: str  #: one sentence, in AMC's words if they are known
    place: Place
    hint: str = ""
    is_verbatim: bool = False  #: AMC says just this, and not where

    def as_amc(self) -> str:
        """AMC's message for a workflow that it cannot compile, in Calcite's words."""
        if self.is_verbatim:
            return self.text
        if self.code == "syntax":
            # the text has its place already
            return f"SQL query was invalid: {self.text}"
        where = self.place
        return (
            f"SQL query was invalid: From line {where.line}, column {where.column}"
            f" to line {where.end_line}, column {where.end_column}: {self.text}"
        )


class CompileError(AmciError):
    """A query that AMC cannot compile: its first mistake is the text, all of them are `findings`."""

    def __init__(self, *findings: Finding) -> None:
        first = findings[0]
        super().__init__(first.as_amc(), hint=first.hint)
        self.findings: Sequence[Finding] = findings


def place_of(sql: str, node: exp.Expr | None) -> Place:
    """The place of a node in the text it was parsed from; the whole text if no part of it has a place."""
    found = (
        []
        if node is None
        else [each.meta for each in node.walk() if "start" in each.meta and "end" in each.meta]
    )
    if not found:
        return between(sql, 0, len(sql.rstrip()) - 1)
    return between(sql, min(meta["start"] for meta in found), max(meta["end"] for meta in found))


def between(sql: str, start: int, end: int) -> Place:
    """From one offset to another, both included."""
    end = max(start, end)
    return Place(*_line_and_column(sql, start), *_line_and_column(sql, end))


def _line_and_column(sql: str, offset: int) -> tuple[int, int]:
    before = sql[:offset]
    return before.count("\n") + 1, offset - before.rfind("\n")
