"""Rows that know their users, and values that know whose they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .data import User

Shares = Mapping[int, Any]


@dataclass(frozen=True, slots=True)
class Metric:
    """A SUM or a COUNT: what it came to, which part of it is whose, and the paths it came by."""

    total: Any
    shares: Shares
    paths: frozenset[int]


@dataclass(frozen=True, slots=True)
class Cell:
    """A value, the paths its columns come by (None: it has no columns), and how it splits between users."""

    value: Any
    paths: frozenset[int] | None = None
    shares: Shares | None = None  #: None: it does not split, all of it is everybody's
    metrics: tuple[Metric, ...] = ()


@dataclass(frozen=True, slots=True)
class About:
    """What is known of a column without its values: the place of its level in LEVELS, and its kind."""

    level: int = 0
    is_metric: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """Its cells, and by path the users behind it; None is an unknown user."""

    cells: tuple[Cell, ...]
    users: Mapping[int, frozenset[User]]

    def known(self, paths: Iterable[int] | None) -> set[int]:
        """Its known users by some paths; by all where None is asked for."""
        asked = self.users.keys() if paths is None else self.users.keys() & set(paths)
        return {user for path in asked for user in self.users[path] if user is not None}


@dataclass(frozen=True, slots=True)
class Relation:
    """Columns, each by alias and name, and rows."""

    names: tuple[tuple[str, str], ...]
    about: tuple[About, ...]
    rows: list[Row]


@dataclass(frozen=True, slots=True)
class Result:
    """What a query yields before anything is removed, and the table of each path."""

    names: tuple[str, ...]
    about: tuple[About, ...]
    rows: list[Row]
    paths: tuple[str, ...]
