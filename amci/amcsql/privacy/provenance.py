"""Writes a query so that each row of its result says how many users are behind it (amc-api 3.3).

Rows carry their users with them. A read of a table brings the number of the user (`amci u<path>`); joins and unions
keep these columns. If rows are grouped by something that tells the user, the group keeps that column. If not, the
group gets a number (`amci g<n>`), and a table of WITH beside it (a `UserGroup`) lists its users, each with the paths
they come through and what they add to every metric. The rows of the result get the columns of `STATS`.

    WITH f AS (SELECT campaign, creative, SUM(clicks) AS n FROM dsp_clicks GROUP BY 1, 2)
    SELECT campaign, SUM(n) AS n FROM f GROUP BY 1

becomes, in short,

    WITH "amci x1" AS (SELECT campaign, creative, sum(clicks) AS n, row_number() OVER () AS "amci g2" … GROUP BY 1, 2),
         "amci group3" AS (SELECT "amci g2" AS "group", user_no, sum(clicks) AS v0 … GROUP BY 1, 2), f AS (…)
    SELECT campaign, sum(n) AS n, … AS "amci users", … AS "amci effective", … AS "amci equivalent" FROM f … GROUP BY 1

so that a user with clicks on two creatives counts once for the campaign, with the sum of both: AMC counts users of
the result's rows, however many queries lie between (amc-api 3.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from amci.amcsql.ast_copy import copied
from amci.amcsql.binder.bound import (
    Bound,
    Cte,
    CteRef,
    FromItem,
    OutputColumn,
    QueryExpression,
    Relation,
    Scan,
    Select,
    Union,
    ValuesRows,
    paths_of,
)
from amci.amcsql.binder.user_identity import classes_of, joined_union
from amci.amcsql.duckdb_writer import USER, DuckDBWriter, QueryScope, Written
from amci.amcsql.privacy.grouped_source import GroupedSource, UserCounts
from amci.amcsql.privacy.groups import Groups
from amci.amcsql.privacy.user_groups import (
    UserColumn,
    UserGroup,
    is_shared,
    merged_user_columns,
    moved_group,
    share_of,
)
from amci.kernel.names import quoted

_NO_USER = "CAST(NULL AS BIGINT)"


@dataclass(frozen=True, slots=True)
class RewrittenQuery:
    """The text of a relation, and the users its rows carry."""

    text: str
    user_columns: Sequence[UserColumn] = ()
    user_groups: Sequence[UserGroup] = ()


class PrivacyRewriter(DuckDBWriter):
    """Writes one query with its users."""

    def __init__(self, query: Bound, scope: QueryScope, written: Written | None = None) -> None:
        super().__init__(scope, written)
        self._query = query
        self._made: dict[str, RewrittenQuery] = {}  #: queries of WITH by name
        self._parts: list[str] = []  #: of WITH
        self._groups = Groups(self, frozenset(paths_of(query.query)), self._parts)

    def result(self) -> str:
        """The whole query; its columns are those of the query and of `STATS`."""
        for each in self._query.named:
            if each.uses:
                self._name(each)
        text = self._final(self._query.query)
        parts = ",\n".join(self._parts)
        return f"WITH {parts}\n{text}" if parts else text

    def _name(self, named: Cte) -> None:
        made = self._relation(named.query)
        self._parts.append(f"{quoted(named.name)} AS (\n{made.text}\n)")
        self._made[named.name] = made

    # -- relations within the query ---------------------------------------------------------------------------

    def _relation(self, query: QueryExpression) -> RewrittenQuery:
        """A query whose rows go on with their users."""
        if isinstance(query, ValuesRows):
            return RewrittenQuery(self.query(query))
        if isinstance(query, Union):
            return (
                self._both(query)
                if query.is_all
                else self._distinct(replace(query, is_all=True), query.outputs)
            )
        if query.is_distinct:
            return self._distinct(replace(query, is_distinct=False), query.outputs)
        return self._grouped_rows(query) if query.is_grouped else self._rows(query)

    def _rows(self, block: Select) -> RewrittenQuery:
        """A SELECT that does not group: its rows keep their users."""
        source = self._source(block)
        more, user_columns, user_groups = self._handed_on(block, source)
        return RewrittenQuery(self.block(block, more, source.text()), user_columns, user_groups)

    def _handed_on(
        self, block: Select, source: GroupedSource
    ) -> tuple[list[str], list[UserColumn], list[UserGroup]]:
        """The columns by which the rows of a SELECT keep their users."""
        more, user_columns, user_groups = [], [], []
        for user_column in source.user_columns:
            columns = {path: f"amci u{path}" for path in user_column.columns}
            more += [f"{sql} AS {quoted(columns[path])}" for path, sql in user_column.columns.items()]
            user_columns.append(UserColumn(columns))
        for group in source.user_groups:
            key = self._groups.fresh("amci g")
            more.append(f"{group.key} AS {quoted(key)}")
            shares = {
                output.name.lower(): share_of(output.value, source.shares(group))
                for output in block.outputs
                if output.value is not None and is_shared(output.value, source.shares(group))
            }
            user_groups.append(replace(group, key=key, shares=shares))
        return more, user_columns, user_groups

    def _grouped_rows(self, block: Select) -> RewrittenQuery:
        text, user_columns, user_groups = self._groups.relation(self._source(block))
        return RewrittenQuery(text, user_columns, user_groups)

    def _distinct(self, query: QueryExpression, outputs: Sequence[OutputColumn]) -> RewrittenQuery:
        """DISTINCT is to group by every column."""
        return self._grouped_rows(_all_grouped(query, outputs))

    def _both(self, union: Union) -> RewrittenQuery:
        """The rows of both sides of UNION ALL."""
        left, right = self._relation(union.left), self._relation(union.right)
        users = joined_union(union)
        columns = sorted(path for each in users for path in each)
        user_columns = [UserColumn({path: f"amci u{path}" for path in sorted(each)}) for each in users]
        arms = [
            self._arm(made, arm, columns, left.user_groups, right.user_groups)
            for made, arm in ((left, union.left), (right, union.right))
        ]
        user_groups = [*left.user_groups, *right.user_groups]
        text = f"({arms[0]})\nUNION ALL\n({arms[1]})"
        return RewrittenQuery(
            _renamed(text, union, [f"amci u{path}" for path in columns], [c.key for c in user_groups]),
            user_columns,
            self._by_name(user_groups, left, union),
        )

    def _arm(
        self,
        made: RewrittenQuery,
        arm: QueryExpression,
        paths: Sequence[int],
        left: Sequence[UserGroup],
        right: Sequence[UserGroup],
    ) -> str:
        own = {
            path: column for user_column in made.user_columns for path, column in user_column.columns.items()
        }
        users = [quoted(own[path]) if path in own else _NO_USER for path in paths]
        groups = [quoted(group.key) if group in made.user_groups else _NO_USER for group in (*left, *right)]
        columns = [quoted(output.name) for output in arm.outputs]
        return f"SELECT {', '.join([*columns, *users, *groups])} FROM ({made.text})"

    def _by_name(
        self, user_groups: Sequence[UserGroup], left: RewrittenQuery, union: Union
    ) -> list[UserGroup]:
        """The user groups of both sides, their shares by the names that the union gives."""
        found = []
        for group in user_groups:
            arm = union.left if group in left.user_groups else union.right
            names = {
                one.name.lower(): other.name.lower()
                for one, other in zip(arm.outputs, union.outputs, strict=False)
            }
            shares = {names[name]: share for name, share in group.shares.items() if name in names}
            found.append(replace(group, shares=shares))
        return found

    # -- FROM --------------------------------------------------------------------------------------------------

    def _source(self, block: Select) -> GroupedSource:
        """FROM and WHERE of a SELECT with the users of its rows."""
        joined, user_columns, user_groups = [], [], []
        for item in block.items:
            text, own, others = self._item(item.relation, item.alias)
            joined.append(self._joined(item, text))
            user_columns += own
            user_groups += [(item.alias, group) for group in others]
        where = f"WHERE {self.expression(block.where)}" if block.where is not None else ""
        return GroupedSource(
            block=block,
            joined=" ".join(["FROM", *joined]) if joined else "",
            where=where,
            user_columns=merged_user_columns(user_columns, block.same),
            aliased_groups=user_groups,
        )

    def _item(self, relation: Relation, alias: str) -> tuple[str, list[UserColumn], list[UserGroup]]:
        if isinstance(relation, Scan):
            if not relation.source.has_users:
                return self.relation(relation, alias), [], []
            name = f"amci u{relation.path}"
            text = f"({self.scan(relation, f', {quoted(USER)} AS {quoted(name)}')}) AS {quoted(alias)}"
            return text, [UserColumn({relation.path: quoted(alias, name)})], []
        if isinstance(relation, CteRef):
            made, paths = self._made[relation.of.name], relation.paths
            text = f"{quoted(relation.of.name)} AS {quoted(alias)}"
        else:
            made, paths = self._relation(relation), {}
            text = (
                f"({made.text}) AS {quoted(alias)}"
                if not isinstance(relation, ValuesRows)
                else self.relation(relation, alias)
            )
        user_columns = [
            UserColumn(
                {paths.get(path, path): quoted(alias, column) for path, column in user_column.columns.items()}
            )
            for user_column in made.user_columns
        ]
        user_groups = [
            replace(moved_group(group, paths), key=quoted(alias, group.key)) for group in made.user_groups
        ]
        return text, user_columns, user_groups

    # -- the result --------------------------------------------------------------------------------------------

    def _final(self, query: QueryExpression) -> str:
        """The result with the columns of `STATS`."""
        if isinstance(query, Union):
            # each arm keeps its own numbers; what is equal in both is made one after the rules were applied
            arms = [f"({self._final(arm)})" for arm in (query.left, query.right)]
            return "\nUNION ALL\n".join(arms)
        if isinstance(query, ValuesRows):
            return f"SELECT *, {UserCounts().columns()} FROM ({self.query(query)})"
        if query.is_distinct and not query.is_grouped:
            return self._groups.result(
                self._source(_all_grouped(replace(query, is_distinct=False), query.outputs))
            )
        plain = replace(query, is_distinct=False)
        source = self._source(plain)
        return self._groups.result(source) if plain.is_grouped else self._groups.rows(source)


def _all_grouped(query: QueryExpression, outputs: Sequence[OutputColumn]) -> Select:
    """A query grouped by all its columns."""
    columns = []
    for output in outputs:
        column = exp.column(
            exp.to_identifier(output.name, quoted=True), exp.to_identifier("amci all", quoted=True)
        )
        column.meta["family"] = output.facts.family
        columns.append(column)
    facts = [output.facts for output in outputs]
    return Select(
        outputs=[replace(output, value=column) for output, column in zip(outputs, columns, strict=True)],
        items=[FromItem(alias="amci all", relation=query)],
        keys=[copied(column) for column in columns],
        key_facts=facts,
        is_grouped=True,
        same=list(classes_of(query)),
    )


def _renamed(text: str, union: Union, users: Sequence[str], groups: Sequence[str]) -> str:
    names = ", ".join(map(quoted, [*(output.name for output in union.outputs), *users, *groups]))
    return f"SELECT * FROM ({text}) AS u({names})"
