"""How tables of the world are told: the files that hold their events, and the views AMC's tables are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

from amci.kernel.state import named_queries


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratedTable:
    """A file of events for each stretch of days, or one for all days.

    `sql` is a SELECT in a session that has run world.sql and the family's `setup`. Events are made for the
    days of the table `days(day DATE)`, and each must depend on the seed, its day and its key alone. Where
    `name` is one of AMC's tables, its columns that the SELECT lacks become NULL (those of views.derived are
    computed from their twin when they are read), and columns it does not know are kept beside them.
    """

    name: str
    sql: str
    order: str  #: ORDER BY of the file: the event time first, then what tells two events apart
    is_dimension: bool = False  #: made once; `days` is empty then


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Tables that are made together."""

    setup: tuple[str, ...] = ()  #: statements run once in each session, after world.sql
    #: Statements run for each part of the people (from_person() to to_person()) before the files are made,
    #: for all days of the stretch (first_day() to last_day()).
    by_people: tuple[str, ...] = ()
    files: tuple[GeneratedTable, ...] = ()
    #: AMC's table → a SELECT that gives its columns, "amci user" and "amci part"; `{name}` stands for the files
    #: of a Made. A Made that is called like a table of AMC's needs none.
    views: Mapping[str, str] = field(default_factory=dict)


@cache
def script(name: str) -> dict[str, str]:
    """The statements of a .sql file of this package, by name."""
    return named_queries((resources.files("amci.sandbox.data") / name).read_text(encoding="utf-8"))
