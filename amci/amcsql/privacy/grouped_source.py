"""A SELECT that is to be grouped, and what is counted over the users of its groups."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlglot import exp

from amci.amcsql.ast_copy import copied
from amci.amcsql.binder.bound import Select
from amci.amcsql.binder.levels import NOBODY
from amci.amcsql.binder.user_identity import Class
from amci.amcsql.privacy.stats import UserCounts
from amci.amcsql.privacy.user_groups import UserColumn, UserGroup
from amci.kernel.names import quoted


@dataclass(slots=True, kw_only=True)
class GroupedSource:
    """FROM and WHERE of a SELECT, and the users of its rows."""

    block: Select
    joined: str
    where: str
    user_columns: Sequence[UserColumn]
    aliased_groups: Sequence[tuple[str, UserGroup]]  #: and the aliases they come with

    @property
    def user_groups(self) -> list[UserGroup]:
        """The user_groups."""
        return [group for _, group in self.aliased_groups]

    def text(self, more: str = "") -> str:
        """FROM and WHERE, with one more join."""
        return "\n".join(part for part in (f"{self.joined} {more}".rstrip(), self.where) if part)

    def shares(self, group: UserGroup) -> Callable[[exp.Column], exp.Expr | None]:
        """What a user of a user group contributes to a column."""
        alias = next(alias for alias, each in self.aliased_groups if each is group)

        def share(column: exp.Column) -> exp.Expr | None:
            found = group.shares.get(column.name.lower()) if column.table == alias else None
            return copied(found) if found is not None else None

        return share

    def paths(self, node: exp.Expr) -> Class:
        """The paths an expression's columns come from."""
        by_alias = {item.alias: item.relation.outputs for item in self.block.items}
        found = NOBODY
        for column in node.find_all(exp.Column):
            for output in by_alias.get(column.table, ()):
                if output.name.lower() == column.name.lower():
                    found |= output.facts.paths
        return found


@dataclass(frozen=True, slots=True)
class Metric:
    """A sum or a count, and what one row adds to it."""

    call: exp.Expr
    added: exp.Expr
    paths: Class  #: empty if every row counts

    def is_of(self, users: Class) -> bool:
        """Whether these users contribute to it."""
        return not self.paths or bool(self.paths & users)


def count_columns(user_no: str, paths: Mapping[int, str], metrics: Mapping[int, str]) -> list[str]:
    """What is counted over a group's users, a row each."""
    known = f"{user_no} <> 0"
    found = []
    for path, column in paths.items():
        found += [
            f"count(*) FILTER ({column} AND {known}) AS {quoted(f'amci n{path}')}",
            f"coalesce(bool_or({column}), false) AS {quoted(f'amci b{path}')}",
        ]
    for place, value in metrics.items():
        found += [
            f"count(*) FILTER ({value} <> 0 AND {known}) AS {quoted(f'amci e{place}')}",
            f"max(abs({value})) FILTER ({known}) AS {quoted(f'amci l{place}')}",
        ]
    return found


def add_numbers(
    counted: UserCounts,
    alias: str,
    paths: Class,
    metrics: Sequence[Metric],
    total: Callable[[int], str],
    counted_paths: Class,
    left_out: Collection[int] = (),
) -> None:
    """The numbers of one class of users, from the columns of `count_columns`.

    Users of `counted_paths` only count; some metrics may be left out.
    """
    for path in sorted(paths & counted_paths):
        counted.users.append(
            (
                f"CASE WHEN {quoted(alias, f'amci b{path}')} THEN {quoted(alias, f'amci n{path}')} END",
                path,
            )
        )
    for place, metric in enumerate(metrics):
        if place in left_out:
            continue
        mine = sorted((metric.paths or paths) & paths & counted_paths)
        if not mine:
            continue
        # a path without a row here does not count
        there = " OR ".join(quoted(alias, f"amci b{path}") for path in mine)
        add_metric(counted, alias, place, total(place), mine[0], there)


def add_metric(
    counted: UserCounts, alias: str, place: int, total: str, path: int, there: str = "true"
) -> None:
    """The numbers of one metric, from the columns of `count_columns`; none if its total is zero."""
    effective, largest = quoted(alias, f"amci e{place}"), quoted(alias, f"amci l{place}")
    matters = f"{total} <> 0 AND ({there})"
    equivalent = f"CAST(floor(abs({total}) / {largest}) AS BIGINT)"
    counted.effective.append((f"CASE WHEN {matters} THEN {effective} END", path))
    counted.equivalent.append((f"CASE WHEN {matters} AND {largest} <> 0 THEN {equivalent} END", path))
