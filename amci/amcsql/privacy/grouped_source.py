"""A SELECT that is to be grouped, and what is counted over the users of its groups."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from amci.amcsql.ast_copy import copied
from amci.amcsql.binder.bound import Select
from amci.amcsql.binder.levels import NOBODY
from amci.amcsql.binder.user_identity import Class
from amci.amcsql.duckdb_writer import DuckDBWriter
from amci.amcsql.privacy.user_groups import UserColumn, UserGroup
from amci.kernel.names import quoted

#: Distinct users, effective users, equivalent users: the smallest number, and the path whose users these are.
STATS = (
    "amci users",
    "amci users of",
    "amci effective",
    "amci effective of",
    "amci equivalent",
    "amci equivalent of",
)


@dataclass(slots=True)
class UserCounts:
    """Numbers of a row: SQL that is NULL if a number does not matter, and the path whose users it counts."""

    users: list[tuple[str, int]] = field(default_factory=list)
    effective: list[tuple[str, int]] = field(default_factory=list)
    equivalent: list[tuple[str, int]] = field(default_factory=list)

    def columns(self) -> str:
        """As columns of a SELECT."""
        parts = []
        for place, numbers in enumerate((self.users, self.effective, self.equivalent)):
            least = _least([sql for sql, _ in numbers])
            parts += [
                f"{least} AS {quoted(STATS[2 * place])}",
                f"{_path(least, numbers)} AS {quoted(STATS[2 * place + 1])}",
            ]
        return ", ".join(parts)


def _least(numbers: Sequence[str]) -> str:
    """The smallest that is not NULL."""
    if not numbers:
        return "CAST(NULL AS BIGINT)"
    return numbers[0] if len(numbers) == 1 else f"least({', '.join(numbers)})"


def _path(least: str, numbers: Sequence[tuple[str, int]]) -> str:
    """The path of the first number that is the smallest; its text grows with the numbers, not with their square."""
    if not numbers:
        return "CAST(NULL AS INTEGER)"
    paths = [str(path) for _, path in numbers]
    if len(numbers) == 1:
        return paths[0]
    which = paths[0]
    if len(set(paths)) > 1:
        which = f"[{', '.join(paths)}][list_position([{', '.join(sql for sql, _ in numbers)}], {least})]"
    return f"CASE WHEN {least} IS NOT NULL THEN {which} END"


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
            (f"CASE WHEN {quoted(alias, f'amci b{path}')} THEN {quoted(alias, f'amci n{path}')} END", path)
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


_BASE = "amci rows"


def is_joint(source: GroupedSource, metric: Metric) -> bool:
    """Whether several classes contribute to a metric, none of them by shares."""
    classes = _classes(source, metric)
    shared = (source.shares(each) for each in classes if isinstance(each, UserGroup))
    has_shares = any(share(column) for share in shared for column in metric.added.find_all(exp.Column))
    return len(classes) > 1 and not has_shares


def joint_counts(writer: DuckDBWriter, source: GroupedSource, metric: Metric, keys: Sequence[str]) -> str:
    """The numbers of one metric to which several classes of users contribute, for each group.

    `keys` are the group's, each `… AS "amci k<n>"`.

        SELECT COUNT(*) AS n FROM views v JOIN clicks c ON v.site = c.site

    Here a row with a view of user 1 and a click of user 2 adds one to both. A row with a view and a click of user 1
    adds one, not two, to that user: who is in several classes of a row counts once (amc-api 3.3).
    """
    classes = _classes(source, metric)
    users = [each.key if isinstance(each, UserGroup) else each.user_no for each in classes]
    columns = [*keys, *(f"{sql} AS q{place}" for place, sql in enumerate(users))]
    added = writer.expression(metric.added)
    base = f"SELECT {', '.join(columns)}, sum({added}) AS a\n{source.text()}\nGROUP BY ALL"
    names = [quoted(f"amci k{place}") for place in range(len(keys))]
    arms = "\nUNION ALL\n".join(_arm(classes, place, names) for place in range(len(classes)))
    detail = f"SELECT {', '.join([*names, 'user_no'])}, sum(a) AS v FROM ({arms}) GROUP BY ALL"
    counts = ", ".join([*names, *count_columns("user_no", {}, {0: "v"})])
    grouped = f" GROUP BY {', '.join(names)}" if names else ""
    return f"WITH {quoted(_BASE)} AS MATERIALIZED (\n{base}\n)\nSELECT {counts} FROM ({detail}){grouped}"


def _arm(classes: Sequence[UserColumn | UserGroup], place: int, keys: Sequence[str]) -> str:
    """What users add by one class, but for those who are in an earlier one in the same row."""
    known = [f"q{number}" for number in range(place + 1)]
    rows = f"(SELECT {', '.join([*keys, *known])}, sum(a) AS a FROM {quoted(_BASE)} GROUP BY ALL) AS b"
    each = classes[place]
    if isinstance(each, UserGroup):
        user_no, source = ("c.user_no", f'{rows} JOIN {quoted(each.table)} AS c ON c."group" = b.q{place}')
    else:
        user_no, source = f"b.q{place}", rows
    conditions = [f"{user_no} IS NOT NULL", *(_is_not_in(classes[n], n, user_no) for n in range(place))]
    return f"SELECT {', '.join([*keys, f'{user_no} AS user_no'])}, b.a FROM {source} WHERE {' AND '.join(conditions)}"


def _is_not_in(other: UserColumn | UserGroup, place: int, user_no: str) -> str:
    if isinstance(other, UserColumn):
        return f"{user_no} IS DISTINCT FROM b.q{place}"
    return (
        f"NOT EXISTS (SELECT 1 FROM {quoted(other.table)} AS o"
        f' WHERE o."group" = b.q{place} AND o.user_no = {user_no})'
    )


def _classes(source: GroupedSource, metric: Metric) -> list[UserColumn | UserGroup]:
    """Groups first: what they have is added up before single users are looked at."""
    users: list[UserColumn | UserGroup] = [*source.user_groups, *source.user_columns]
    return [each for each in users if metric.is_of(frozenset(each.columns))]
