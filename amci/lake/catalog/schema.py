"""How a table's columns grow: a plan of changes, made before anything is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from amci.kernel.errors import SchemaConflict
from amci.lake.catalog.casts import is_in_place
from amci.lake.catalog.inference import NO_CLUES, Clues
from amci.lake.catalog.kinds import ColumnKind, Kind, join


@dataclass(frozen=True, slots=True)
class SchemaPlan:
    """What has to happen to a table before rows of the wanted types go in."""

    add: Mapping[str, str] = field(default_factory=dict)  #: column to SQL type, in order
    widen: Mapping[str, str] = field(default_factory=dict)  #: in place, by ALTER
    rewrite: Mapping[str, str] = field(default_factory=dict)  #: new types that need the table rewritten
    settle: tuple[str, ...] = ()  #: columns whose first values are text
    clues: Clues = NO_CLUES  #: of columns that are text no longer: how it is written

    @property
    def makes_text(self) -> bool:
        """Whether a typed column becomes text; its values then have to be spelled as they landed."""
        return Kind.VARCHAR.sql in self.rewrite.values()

    def applied(self, have: Mapping[str, str]) -> dict[str, str]:
        """The columns of a table after these changes; `NOTHING` if there has been no value yet."""
        settled = dict.fromkeys(self.settle, Kind.VARCHAR.sql)
        return {**have, **self.widen, **self.rewrite, **settled, **self.add}

    @property
    def is_empty(self) -> bool:
        """Whether the table is ready as it stands."""
        return not (self.add or self.widen or self.rewrite or self.settle)


def plan(
    have: Mapping[str, str],
    want: Mapping[str, str],
    *,
    may_evolve: bool,
    survives: Callable[[str, ColumnKind, ColumnKind], bool],
) -> SchemaPlan:
    """Changes that let a table with columns `have` take rows with columns `want` (names to SQL types).

    A column of type `NOTHING` has had no value yet, here or there: the first one gives it its type.
    `survives(column, have, want)` says whether every stored value outlives the widening; if not, the column
    becomes text. Raises SchemaConflict if the schema is frozen.
    """
    add: dict[str, str] = {}
    widen: dict[str, str] = {}
    rewrite: dict[str, str] = {}
    settle: list[str] = []
    for column, sql_type in want.items():
        if column not in have:
            _may(may_evolve, column, "no such column", sql_type)
            add[column] = sql_type
            continue
        target = _meeting(column, have[column], sql_type, survives)
        if target == have[column]:
            continue
        if have[column] == Kind.NOTHING:
            if target == Kind.VARCHAR.sql:
                settle.append(column)
            else:
                rewrite[column] = target
            continue
        _may(may_evolve, column, have[column], sql_type)
        old, new = Kind.of_sql(have[column]), Kind.of_sql(target)
        (widen if have[column] == old.sql and is_in_place(old, new) else rewrite)[column] = target
    return SchemaPlan(add, widen, rewrite, tuple(settle))


def holds(have: str, got: str) -> bool:
    """Whether a column of type `have` takes values of type `got` as it is."""
    old, new = Kind.of_sql(have), Kind.of_sql(got)
    return Kind.NOTHING in (have, got) or have == got or (have == old.sql and join(old, new) == old)


def _may(may_evolve: bool, column: str, have: str, got: str) -> None:
    if not may_evolve:
        raise SchemaConflict(
            column,
            have,
            got,
            hint="the dataset says `schema: freeze`; set `schema: evolve`, or correct the file",
        )


def _meeting(
    column: str, have: str, got: str, survives: Callable[[str, ColumnKind, ColumnKind], bool]
) -> str:
    """The SQL type that a stored column of type `have` takes when rows of type `got` come."""
    if got in (have, Kind.NOTHING):
        return have
    if have == Kind.NOTHING:
        return got
    old, new = Kind.of_sql(have), Kind.of_sql(got)
    target = join(old, new)
    if target != old and not survives(column, old, target):
        target = Kind.VARCHAR
    return target.sql
