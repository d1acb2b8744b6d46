"""Groups of the result in one pass: first by key and user, then by key.

Most queries have rows of one user each, and aggregates that can be put together from a user's own. Then the numbers
of the privacy rules cost little more than the query itself.

    SELECT campaign, SUM(clicks) AS n FROM dsp_clicks GROUP BY 1

becomes, in short,

    SELECT k0 AS campaign, sum(s0) AS n, count(*) FILTER (user_no <> 0) AS "amci users", max(abs(s0)) …
    FROM (SELECT campaign AS k0, "amci user" AS user_no, sum(clicks) AS s0 FROM dsp_clicks GROUP BY 1, 2) GROUP BY 1

The first pass has what one user adds to a metric, from which the second has distinct, effective and equivalent users
(amc-api 3.3). MEDIAN cannot be put together from parts: such a query goes the longer way of `groups`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from amci.amcsql.ast_copy import copied, inside
from amci.amcsql.binder.bound import Select
from amci.amcsql.binder.expressions import aggregates, family_of, is_distinct
from amci.amcsql.binder.user_identity import Class, tells_user
from amci.amcsql.duckdb_writer import DuckDBWriter, values
from amci.amcsql.functions.calls import type_of
from amci.amcsql.privacy.group_counts import counts_of_groups, is_plain, names
from amci.amcsql.privacy.grouped_source import (
    GroupedSource,
    Metric,
    UserCounts,
    add_numbers,
    count_columns,
    is_joint,
)
from amci.amcsql.privacy.user_groups import UserColumn, UserGroup
from amci.kernel.names import quoted

_USER_NO = '"amci user no"'


@dataclass(slots=True)
class _Parts:
    """Aggregates of a user's own rows, and how those of all users are put together from them."""

    writer: DuckDBWriter
    user_column: UserColumn
    block: Select
    #: of the first pass, and how several become one
    columns: list[tuple[str, str]] = field(default_factory=list)
    merged: dict[exp.Expr, exp.Expr] = field(default_factory=dict)  #: by call
    own: dict[exp.Expr, str] = field(default_factory=dict)  #: by sum or count, the column with a user's own

    def take(self, call: exp.Expr) -> bool:
        """Add one aggregate; False if it cannot be put together."""
        merged = self._distinct(call) if is_distinct(call) else self._plain(call)
        if merged is not None:
            self.merged[call] = merged
        return merged is not None

    def _plain(self, call: exp.Expr) -> exp.Expr | None:
        family = type_of(call, family_of)
        if isinstance(call, exp.Sum):
            self.own[call] = self._column(call)
            return exp.Sum(this=_named(self.own[call], family))
        if isinstance(call, exp.Count):
            self.own[call] = self._column(call)
            summed = exp.Coalesce(
                this=exp.Sum(this=_named(self.own[call], family)), expressions=[exp.Literal.number(0)]
            )
            return exp.cast(summed, "BIGINT")
        if isinstance(call, exp.Min | exp.Max):
            return type(call)(this=_named(self._column(call), family))
        if isinstance(call, exp.Avg):
            total, number = (
                exp.Sum(this=_named(self._column(part(this=copied(call.this))), "DOUBLE"))
                for part in (exp.Sum, exp.Count)
            )
            return exp.Paren(
                this=exp.Div(
                    this=exp.cast(total, "DOUBLE"),
                    expression=exp.Nullif(this=number, expression=exp.Literal.number(0)),
                )
            )
        return None

    def _distinct(self, call: exp.Expr) -> exp.Expr | None:
        """A count of users is a count of the groups of the first pass."""
        counted = call.this.expressions
        if (
            not isinstance(call, exp.Count)
            or len(counted) != 1
            or not tells_user(self.block, counted[0], self.user_column.paths)
        ):
            return None
        name = f"s{len(self.columns)}"
        self.columns.append(
            (f"bool_or({self.writer.expression(counted[0])} IS NOT NULL) AS {name}", "bool_or")
        )
        is_there = exp.case().when(_named(name, "BOOLEAN"), exp.Literal.number(1))
        return exp.Count(this=is_there)

    def _column(self, call: exp.Expr) -> str:
        name = f"s{len(self.columns)}"
        merged = "min" if isinstance(call, exp.Min) else "max" if isinstance(call, exp.Max) else "sum"
        self.columns.append((f"{self.writer.expression(call)} AS {name}", merged))
        return name

    def whole(self, node: exp.Expr, keys: Sequence[exp.Expr]) -> exp.Expr:
        """An expression over all users, from what each has."""
        places = {key: place for place, key in enumerate(keys)}
        holder = exp.Paren(this=copied(node))
        self._replace(holder, places)
        return inside(holder)

    def _replace(self, node: exp.Expr, places: Mapping[exp.Expr, int]) -> None:
        for child in list(node.iter_expressions()):
            if child in places:
                child.replace(_named(f"amci k{places[child]}", type_of(child, family_of)))
            elif child in self.merged and not isinstance(child.parent, exp.Window):
                child.replace(copied(self.merged[child]))
            else:
                self._replace(child, places)


def partial_result(
    writer: DuckDBWriter,
    source: GroupedSource,
    metrics: Sequence[Metric],
    counted_paths: Class,
    add: Callable[[str], str],
) -> str | None:
    """The groups of a result with their numbers; None if they cannot be made in one pass.

    `add` puts a query into WITH and gives its name.
    """
    block = source.block
    if len(source.user_columns) != 1 or block.windows:
        return None
    if any(is_joint(source, m) for m in metrics) or not all(
        is_plain(source, c, metrics) for c in source.user_groups
    ):
        return None
    parts = _Parts(writer, source.user_columns[0], block)
    wanted = [value for _, value in values(block)] + ([block.having] if block.having is not None else [])
    calls = dict.fromkeys(call for value in wanted for call in aggregates(value))
    if not all(parts.take(call) for call in calls):
        return None
    return _OnePass(writer, source, metrics, counted_paths, parts).text(add)


@dataclass(slots=True)
class _OnePass:
    """Writes groups from what each user has in them."""

    writer: DuckDBWriter
    source: GroupedSource
    metrics: Sequence[Metric]
    counted_paths: Class
    parts: _Parts

    def text(self, add: Callable[[str], str]) -> str:
        """The groups with their numbers."""
        user_groups = self.source.user_groups
        detail = self._first_pass()
        if user_groups:
            # the first pass also splits rows by user group; merge them again where a group has several
            own = add(detail)
            detail = self._without_groups(own, add(self._simple(own)))
        counted = UserCounts()
        add_numbers(counted, "amci n", self.parts.user_column.paths, self.metrics, _total, self.counted_paths)
        joins = []
        for place, group in enumerate(user_groups):
            alias, mine = f"amci n{place}", self._of(group)
            sums = [f"sum({self.parts.own[self.metrics[n].call]}) AS a{k}" for k, n in enumerate(mine)]
            rows = (
                f"SELECT {', '.join([*self._keys, f'g{place} AS g', *sums])} FROM {quoted(own)} GROUP BY ALL"
            )
            same = " AND ".join(
                f"{quoted('amci n')}.{key} IS NOT DISTINCT FROM {quoted(alias)}.{key}" for key in self._keys
            )
            joins.append(
                f"LEFT JOIN ({counts_of_groups(rows, group, self._keys, mine)}) AS {quoted(alias)} ON {same or 'true'}"
            )
            add_numbers(counted, alias, frozenset(group.columns), self.metrics, _total, self.counted_paths)
        columns = ", ".join(quoted("amci n", output.name) for output in self.source.block.outputs)
        text = (
            f"SELECT {columns}, {counted.columns()} FROM (\n{self._groups(detail)}\n) AS {quoted('amci n')}"
        )
        return "\n".join([text, *joins])

    def _first_pass(self) -> str:
        """A row for each group and user, and for each earlier group that comes with them."""
        keys, user_no = self.writer.keys(self.source.block), self.parts.user_column.user_no
        groups = [group.key for group in self.source.user_groups]
        _, flags = _through(self.parts.user_column)
        columns = [
            *(f"{key} AS {name}" for key, name in zip(keys, self._keys, strict=True)),
            *(f"{group} AS g{place}" for place, group in enumerate(groups)),
            f"{user_no} AS {_USER_NO}",
            *flags,
            *(column for column, _ in self.parts.columns),
        ]
        grouped = ", ".join([*keys, *groups, user_no])
        return f"SELECT {', '.join(columns)}\n{self.source.text()}\nGROUP BY {grouped}"

    def _simple(self, own: str) -> str:
        """The groups that come with one earlier group of each kind: usually nearly all."""
        groups = [f"g{place}" for place in range(len(self.source.user_groups))]
        told = f"SELECT DISTINCT {', '.join([*self._keys, *groups])} FROM {quoted(own)}"
        keys = ", ".join(self._keys)
        grouped = f" GROUP BY {keys}" if keys else ""
        return f"SELECT {keys or 'true AS amci_any'} FROM ({told}){grouped} HAVING count(*) = 1"

    def _without_groups(self, own: str, simple: str) -> str:
        """A row for each group and user."""
        through, flags = _through(self.parts.user_column)
        there = list(through.values()) if flags else []
        plain = ", ".join([*self._keys, _USER_NO, *there, *(f"s{n}" for n in range(len(self.parts.columns)))])
        merged = [f"{how}(s{place}) AS s{place}" for place, (_, how) in enumerate(self.parts.columns)]
        several = ", ".join(
            [*self._keys, _USER_NO, *(f"bool_or({name}) AS {name}" for name in there), *merged]
        )
        same = " AND ".join(f"o.{key} IS NOT DISTINCT FROM g.{key}" for key in self._keys) or "true"
        of_one = f"(SELECT 1 FROM {quoted(simple)} AS g WHERE {same})"
        grouped = ", ".join([*self._keys, _USER_NO])
        return (
            f"SELECT {plain} FROM {quoted(own)} AS o WHERE EXISTS {of_one}\nUNION ALL\n"
            f"SELECT {several} FROM {quoted(own)} AS o WHERE NOT EXISTS {of_one} GROUP BY {grouped}"
        )

    def _groups(self, detail: str) -> str:
        """The groups: the query's own columns, the totals of the metrics, and what is counted over users."""
        block, parts = self.source.block, self.parts
        through, _ = _through(parts.user_column)
        shown = [self.writer.output(name, parts.whole(value, block.keys)) for name, value in values(block)]
        totals = [
            self.writer.output(f"amci m{place}", parts.merged[metric.call])
            for place, metric in enumerate(self.metrics)
        ]
        own = {
            place: parts.own[metric.call]
            for place, metric in enumerate(self.metrics)
            if metric.is_of(parts.user_column.paths)
        }
        columns = ", ".join([*shown, *self._keys, *totals, *count_columns(_USER_NO, through, own)])
        grouped = f"\nGROUP BY {', '.join(self._keys)}" if self._keys else ""
        having = ""
        if block.having is not None:
            having = f"\nHAVING {self.writer.expression(parts.whole(block.having, block.keys))}"
        return f"SELECT {columns}\nFROM (\n{detail}\n){grouped}{having}"

    def _of(self, group: UserGroup) -> list[int]:
        """The places of the metrics to which a user group contributes."""
        return [n for n, metric in enumerate(self.metrics) if metric.is_of(frozenset(group.columns))]

    @property
    def _keys(self) -> list[str]:
        return names(self.source)


def _total(place: int) -> str:
    return quoted("amci n", f"amci m{place}")


def _through(user_column: UserColumn) -> tuple[dict[int, str], list[str]]:
    """Which paths a user comes through: conditions, and the columns of the first pass they need."""
    if len(user_column.columns) == 1:
        return dict.fromkeys(user_column.columns, f"({_USER_NO} IS NOT NULL)"), []
    return (
        {path: f"p{path}" for path in user_column.columns},
        [f"bool_or({sql} IS NOT NULL) AS p{path}" for path, sql in user_column.columns.items()],
    )


def _named(name: str, family: str) -> exp.Column:
    column = exp.column(exp.to_identifier(name, quoted=True))
    column.meta["family"] = family
    return column
