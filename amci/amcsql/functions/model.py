"""What is known about one function of AMC SQL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

#: What a call's value has to do with its arguments; see `Function.role`.
Role = Literal[
    "value", "shape", "count", "sum", "aggregate", "rank", "shift", "random", "clock", "compare", "rows"
]
#: STRING, INTEGER, LONG, DOUBLE, DECIMAL, BOOLEAN, DATE, TIMESTAMP, BINARY, ARRAY, ROW, NULL or UNKNOWN.
Family = str

#: Any number of arguments.
MANY = 10_000


@dataclass(frozen=True, slots=True)
class Function:
    """A function: how many arguments it takes, what it gives, and what DuckDB says instead."""

    name: str  #: upper case
    least: int  #: arguments
    most: int
    #: value: of its arguments · shape: of them, where literals only say how · count, sum, aggregate, rank, shift:
    #: over rows · compare: says how arguments compare · rows: makes several of one
    role: Role
    result: Family | Callable[[Sequence[Family]], Family]
    #: DuckDB's name, or its expression with $1, $2 … for the arguments; empty if the name is the same
    duckdb: str = ""
    #: what each argument is cast to if it is something else: S string, T timestamp, D double, _ anything
    wants: str = ""
    is_documented: bool = True

    def takes(self, count: int) -> bool:
        """Whether it can be called with so many arguments."""
        return self.least <= count <= self.most

    @property
    def is_aggregate(self) -> bool:
        """Whether it makes one value of many rows."""
        return self.role in ("count", "sum", "aggregate")


def first(families: Sequence[Family]) -> Family:
    """The family of the first argument."""
    return families[0] if families else "UNKNOWN"


def second(families: Sequence[Family]) -> Family:
    """The family of the second argument."""
    return families[1] if len(families) > 1 else "UNKNOWN"


_WIDER = ("INTEGER", "LONG", "DECIMAL", "DOUBLE")


def common(families: Sequence[Family]) -> Family:
    """The family that takes in all of them."""
    known = {family for family in families if family != "NULL"}
    if not known:
        return "NULL"
    if len(known) == 1:
        return known.pop()
    if known <= set(_WIDER):
        return max(known, key=_WIDER.index)
    if known == {"DATE", "TIMESTAMP"}:
        return "TIMESTAMP"
    return "UNKNOWN" if "UNKNOWN" in known else "STRING"
