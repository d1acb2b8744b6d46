"""What is known of a value in a query: how sensitive it is, what it was made from, whom it identifies (amc-api 3.3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum

from amci.amcsql.sources import Column, Source


class Level(IntEnum):
    """Aggregation thresholds, from harmless to secret."""

    NONE = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3
    VERY_HIGH = 4
    INTERNAL = 5

    @property
    def users(self) -> int:
        """How many distinct users a result row needs to show such a column (amc-api 3.3)."""
        return _USERS[self]

    @property
    def is_barred(self) -> bool:
        """Whether such a column may not be compared with literals and parameters."""
        return self >= Level.HIGH

    @property
    def is_hidden(self) -> bool:
        """Whether such a column may never be in a result."""
        return self >= Level.VERY_HIGH


_USERS = {Level.NONE: 1, Level.LOW: 2, Level.MEDIUM: 100, Level.HIGH: 100}

NOBODY: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueFacts:
    """What is known of a value, whatever the data is."""

    level: Level = Level.NONE
    is_barred: bool = False  #: may not be compared with literals and what comes from them
    is_literal: bool = False  #: a literal or parameter is in it
    is_metric: bool = False  #: a sum or a count, or made of such
    is_summed: bool = False  #: the same, and numbers of distinct values: what is added up if rows become one
    family: str = "UNKNOWN"  #: of its type
    paths: frozenset[int] = NOBODY  #: reads of tables it was made from
    identifies: frozenset[int] = NOBODY  #: it is NULL, or tells the user of one of these paths
    covers: frozenset[int] = NOBODY  #: if it is NULL, no known user of these paths is in the row


#: NULL, as it stands in a query.
NOTHING = ValueFacts(family="NULL")
LITERAL = ValueFacts(is_literal=True)


def of_column(source: Source, column: Column, path: int, family: str) -> ValueFacts:
    """A column of a table, read in a path."""
    level = Level[column.threshold]
    paths = frozenset({path}) if source.has_users else NOBODY
    who = paths if column.name.lower() == "user_id" else NOBODY
    return ValueFacts(
        level=level,
        # what an advertiser uploaded may be filtered by, but for its users (amc-api 3.3)
        is_barred=level.is_barred and not (source.is_uploaded and not level.is_hidden),
        family=family,
        paths=paths,
        identifies=who,
        covers=who,
    )


def mixed(parts: Iterable[ValueFacts]) -> ValueFacts:
    """A value made of others: as sensitive as the most sensitive, and not of a single user."""
    values = list(parts)
    return ValueFacts(
        level=max((part.level for part in values), default=Level.NONE),
        is_barred=any(part.is_barred for part in values),
        is_literal=any(part.is_literal for part in values),
        is_metric=any(part.is_metric for part in values),
        is_summed=any(part.is_summed for part in values),
        paths=NOBODY.union(*(part.paths for part in values)),
    )


def chosen(parts: Iterable[ValueFacts], *, is_first: bool = False) -> ValueFacts:
    """A value that is one of others: `is_first` that is not NULL, or whichever a condition picks."""
    values = list(parts)
    made = mixed(values)
    given = [part for part in values if part is not NOTHING]
    if not given or not all(part.identifies for part in given):
        return made
    who = NOBODY.union(*(part.identifies for part in given))
    covers = NOBODY.union(*(part.covers for part in given)) if is_first else NOBODY
    return replace(made, identifies=who, covers=covers)


def moved(facts: ValueFacts, paths: Mapping[int, int]) -> ValueFacts:
    """The same value, with its paths renumbered."""
    return replace(
        facts,
        paths=frozenset(paths.get(path, path) for path in facts.paths),
        identifies=frozenset(paths.get(path, path) for path in facts.identifies),
        covers=frozenset(paths.get(path, path) for path in facts.covers),
    )


def united(left: ValueFacts, right: ValueFacts) -> ValueFacts:
    """A column of a set operation, whose rows come from one side or the other."""
    made = replace(
        mixed((left, right)),
        is_metric=left.is_metric and right.is_metric,
        is_summed=left.is_summed and right.is_summed,
        family=left.family if left.family != "NULL" else right.family,
    )
    is_left, is_right = bool(left.identifies), bool(right.identifies)
    if (is_left and is_right) or (is_left and right == NOTHING) or (is_right and left == NOTHING):
        return replace(made, identifies=left.identifies | right.identifies, covers=left.covers | right.covers)
    return made
