"""Groups of rows with their users: a list of users beside each group, or the numbers of a row of the result.

`SELECT campaign, SUM(clicks) AS n FROM dsp_clicks GROUP BY 1` as a query of WITH goes on with its users, because what
reads it may group again (`relation`). As the result it needs only numbers of them (`result`). `rows` is for a result
that only selects from groups, such as `SELECT campaign, n FROM f`: its rows have the numbers of these groups.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlglot import exp

from amci.amcsql.ast_copy import copied, inside
from amci.amcsql.binder.bound import OutputColumn, Select
from amci.amcsql.binder.expressions import aggregates, is_distinct
from amci.amcsql.binder.user_identity import Class, tells
from amci.amcsql.duckdb_writer import DuckDBWriter, values
from amci.amcsql.privacy.group_counts import names, user_group_counts, user_group_detail
from amci.amcsql.privacy.grouped_source import (
    GroupedSource,
    Metric,
    UserCounts,
    add_metric,
    add_numbers,
    count_columns,
    is_joint,
    joint_counts,
)
from amci.amcsql.privacy.two_phase import partial_result
from amci.amcsql.privacy.user_groups import UserColumn, UserGroup, is_linear, placed, shared_column
from amci.kernel.names import quoted

_JOINED = "amci c"


class Groups:
    """Writes grouped SELECTs; what they need besides goes to WITH."""

    def __init__(self, writer: DuckDBWriter, counted_paths: Class, parts: list[str]) -> None:
        self._writer, self._counted_paths, self._parts = writer, counted_paths, parts
        self._number = 0

    def fresh(self, stem: str) -> str:
        """A new name, unique in the query."""
        self._number += 1
        return f"{stem}{self._number}"

    def relation(self, source: GroupedSource) -> tuple[str, list[UserColumn], list[UserGroup]]:
        """Groups that go on with their users: those that the keys tell, and user groups for the others."""
        block = source.block
        kept = [user_column for user_column in source.user_columns if _is_told(user_column, block)]
        lost = [user_column for user_column in source.user_columns if user_column not in kept]
        more = [
            f"max({sql}) AS {quoted(f'amci u{path}')}"
            for user_column in kept
            for path, sql in user_column.columns.items()
        ]
        user_columns = [
            UserColumn({path: f"amci u{path}" for path in user_column.columns}) for user_column in kept
        ]
        if not lost and not source.aliased_groups:
            return self._writer.block(block, more, source.text()), user_columns, []
        key = self.fresh("amci g")
        more += [*self._keys(block), f"row_number() OVER () AS {quoted(key)}"]
        name = self._added(self._writer.block(block, more, source.text()))
        metrics = _metrics(source)
        users: list[UserColumn | UserGroup] = [*lost, *source.user_groups]
        user_groups = [self._user_group(source, each, metrics, name, key) for each in users]
        return f"SELECT * FROM {quoted(name)}", user_columns, user_groups

    def result(self, source: GroupedSource) -> str:
        """Groups of the result, with the numbers of each."""
        block = source.block
        metrics = _metrics(source)
        found = partial_result(self._writer, source, metrics, self._counted_paths, self._added)
        if found is not None:
            return found
        users: Sequence[UserColumn | UserGroup] = [*source.user_columns, *source.user_groups]
        totals = [
            f"{self._writer.expression(m.call)} AS {quoted(f'amci m{i}')}" for i, m in enumerate(metrics)
        ]
        name = self._added(self._writer.block(block, [*self._keys(block), *totals], source.text()))
        counted, joins = UserCounts(), []
        joint = [place for place, metric in enumerate(metrics) if is_joint(source, metric)]
        for place, each in enumerate(users):
            alias = f"amci n{place}"
            joins.append(
                f"LEFT JOIN ({self._counts(source, each, metrics)}) AS {quoted(alias)}"
                f" ON {self._same_keys(block, name, alias)}"
            )
            total = _total_of(name)
            add_numbers(counted, alias, _paths(each), metrics, total, self._counted_paths, left_out=joint)
        for place in joint:
            alias, metric = f"amci j{place}", metrics[place]
            text = joint_counts(self._writer, source, metric, self._keys(block))
            joins.append(f"LEFT JOIN ({text}) AS {quoted(alias)} ON {self._same_keys(block, name, alias)}")
            path = min(metric.paths or frozenset().union(*map(_paths, users)))
            add_metric(counted, alias, 0, quoted(name, f"amci m{place}"), path)
        columns = [quoted(name, output.name) for output in block.outputs]
        return f"SELECT {', '.join(columns)}, {counted.columns()} FROM {quoted(name)} {' '.join(joins)}"

    def rows(self, source: GroupedSource) -> str:
        """Rows of the result that are groups already: each has the numbers of its user_groups."""
        block, counted, joins, more = source.block, UserCounts(), [], []
        name = self.fresh("amci x")
        for place, (alias_of_group, group) in enumerate(source.aliased_groups):
            alias, key = f"amci n{place}", f"amci g{place}"
            columns = _used_metrics(block, alias_of_group, group)
            more.append(f"{group.key} AS {quoted(key)}")
            more += [
                f"{self._writer.expression(column)} AS {quoted(f'amci m{place}_{i}')}"
                for i, column in enumerate(columns)
            ]
            joins.append(
                f"LEFT JOIN ({self._group_counts(group, columns)}) AS {quoted(alias)}"
                f" ON {quoted(name, key)} = {quoted(alias, 'group')}"
            )
            metrics = [Metric(column, column, frozenset(group.columns)) for column in columns]
            total = _total_of(name, f"{place}_")
            add_numbers(counted, alias, frozenset(group.columns), metrics, total, self._counted_paths)
        for user_column in source.user_columns:
            for path, sql in user_column.columns.items():
                more.append(f"{sql} AS {quoted(f'amci u{path}')}")
                column = quoted(name, f"amci u{path}")
                counted.users.append((f"CASE WHEN {column} <> 0 THEN 1 WHEN {column} = 0 THEN 0 END", path))
        text = self._writer.block(block, more, source.text())
        columns_text = ", ".join(quoted(name, output.name) for output in block.outputs)
        return f"SELECT {columns_text}, {counted.columns()} FROM ({text}) AS {quoted(name)} {' '.join(joins)}"

    def _added(self, text: str, stem: str = "amci x") -> str:
        """Put a query into WITH; its name."""
        name = self.fresh(stem)
        self._parts.append(f"{quoted(name)} AS MATERIALIZED (\n{text}\n)")
        return name

    def _keys(self, block: Select) -> list[str]:
        return [
            f"{text} AS {quoted(f'amci k{place}')}" for place, text in enumerate(self._writer.keys(block))
        ]

    def _same_keys(self, block: Select, left: str, right: str) -> str:
        pairs = (
            f"{quoted(left, f'amci k{place}')} IS NOT DISTINCT FROM {quoted(right, f'amci k{place}')}"
            for place in range(len(block.keys))
        )
        return " AND ".join(pairs) or "true"

    def _user_group(
        self,
        source: GroupedSource,
        users: UserColumn | UserGroup,
        metrics: Sequence[Metric],
        groups: str,
        key: str,
    ) -> UserGroup:
        """The users of groups that were written as a part of WITH."""
        mine = [metric for metric in metrics if metric.is_of(_paths(users))]
        detail = self._detail(source, users, mine)
        columns = [
            "user_no",
            *(f"p{path}" for path in _paths(users)),
            *(f"v{place}" for place in range(len(mine))),
        ]
        shown = ", ".join(quoted("t", column) for column in columns)
        text = (
            f'SELECT {quoted(groups, key)} AS "group", {shown} FROM {quoted(groups)}'
            f" JOIN ({detail}) AS t ON {self._same_keys(source.block, groups, 't')} WHERE t.user_no IS NOT NULL"
        )
        shares = {}
        for output in source.block.outputs:
            share = _share(output, mine)
            if share is not None:
                shares[output.name.lower()] = share
        return UserGroup(
            table=self._added(text, "amci group"),
            key=key,
            columns={path: f"p{path}" for path in _paths(users)},
            shares=shares,
        )

    def _detail(self, source: GroupedSource, users: UserColumn | UserGroup, metrics: Sequence[Metric]) -> str:
        """A row for each user of each group: the paths of the user, and what the user adds to the metrics."""
        if isinstance(users, UserGroup):
            return user_group_detail(self._writer, source, users, metrics)
        user_no = users.user_no
        through = [f"bool_or({sql} IS NOT NULL) AS p{path}" for path, sql in users.columns.items()]
        sums = [f"sum({self._writer.expression(m.added)}) AS v{place}" for place, m in enumerate(metrics)]
        columns = ", ".join([*self._keys(source.block), f"{user_no} AS user_no", *through, *sums])
        grouped = ", ".join([*self._writer.keys(source.block), user_no])
        return f"SELECT {columns}\n{source.text()}\nGROUP BY {grouped}"

    def _counts(self, source: GroupedSource, users: UserColumn | UserGroup, metrics: Sequence[Metric]) -> str:
        """The numbers of each group."""
        mine = {place: metric for place, metric in enumerate(metrics) if metric.is_of(_paths(users))}
        if isinstance(users, UserGroup):
            return user_group_counts(self._writer, source, users, mine)
        detail, keys = self._detail(source, users, list(mine.values())), names(source)
        paths = {path: f"p{path}" for path in users.columns}
        counts = count_columns("user_no", paths, {place: f"v{number}" for number, place in enumerate(mine)})
        grouped = f" GROUP BY {', '.join(keys)}" if keys else ""
        return f"SELECT {', '.join([*keys, *counts])} FROM ({detail}){grouped}"

    def _group_counts(self, group: UserGroup, columns: Sequence[exp.Column]) -> str:
        shares = {
            place: self._writer.expression(placed(group.shares[column.name.lower()], _JOINED))
            for place, column in enumerate(columns)
        }
        paths = {path: quoted(_JOINED, name) for path, name in group.columns.items()}
        counts = count_columns(quoted(_JOINED, "user_no"), paths, shares)
        shown = ", ".join([quoted(_JOINED, "group"), *counts])
        return f"SELECT {shown} FROM {quoted(group.table)} AS {quoted(_JOINED)} GROUP BY ALL"


def _metrics(source: GroupedSource) -> list[Metric]:
    """The sums and counts in the columns of a SELECT, each once."""
    found: dict[exp.Expr, Metric] = {}
    for _, value in values(source.block):
        for call in aggregates(value):
            if isinstance(call, exp.Sum | exp.Count) and not is_distinct(call) and call not in found:
                found[call] = Metric(call, _added(call), source.paths(call))
    return list(found.values())


def _added(call: exp.Expr) -> exp.Expr:
    """What a row adds to a sum or a count."""
    if isinstance(call, exp.Sum):
        return inside(call)
    if isinstance(call.this, exp.Star) or call.this is None:
        return exp.Literal.number(1)
    return (
        exp.case()
        .when(exp.Not(this=exp.Is(this=copied(call.this), expression=exp.Null())), exp.Literal.number(1))
        .else_(exp.Literal.number(0))
    )


def _share(output: OutputColumn, metrics: Sequence[Metric]) -> exp.Expr | None:
    """What one user contributes to an output: the same expression of their own sums; None if that says nothing."""
    if output.value is None or not is_linear(output.value, exp.AggFunc):
        return None
    places = {metric.call: place for place, metric in enumerate(metrics)}
    holder = exp.Paren(this=copied(output.value))
    calls = aggregates(holder)
    if not calls or any(call not in places for call in calls):
        return None
    for call in calls:
        call.replace(shared_column(f"v{places[call]}"))
    return inside(holder) if not holder.find(exp.Window) else None


def _used_metrics(block: Select, alias: str, group: UserGroup) -> list[exp.Column]:
    """The metrics of a user group that a SELECT shows."""
    found: dict[exp.Expr, exp.Column] = {}
    for _, value in values(block):
        for column in value.find_all(exp.Column):
            if column.table == alias and column.name.lower() in group.shares:
                found.setdefault(column, column)
    return list(found.values())


def _total_of(name: str, prefix: str = "") -> Callable[[int], str]:
    return lambda number: quoted(name, f"amci m{prefix}{number}")


def _is_told(user_column: UserColumn, block: Select) -> bool:
    return any(tells(key, user_column.paths) for key in block.key_facts)


def _paths(users: UserColumn | UserGroup) -> Class:
    return frozenset(users.columns)
