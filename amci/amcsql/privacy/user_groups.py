"""The users that rows of a relation carry: one each, or a list of users beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlglot import exp

from amci.amcsql.ast_copy import copied, inside
from amci.amcsql.binder.user_identity import Class
from amci.amcsql.functions.calls import arguments

#: Stands for the user group in the share of a metric, until it is known how the user group is joined.
GROUP = "amci group"


@dataclass(frozen=True, slots=True)
class UserColumn:
    """One user per row: columns with the user's number, by path; NULL if the path has no row, 0 if unknown."""

    columns: Mapping[int, str]

    @property
    def paths(self) -> Class:
        """The paths the user comes through."""
        return frozenset(self.columns)

    @property
    def user_no(self) -> str:
        """The user's number, by whichever path there is."""
        columns = list(self.columns.values())
        return columns[0] if len(columns) == 1 else f"coalesce({', '.join(columns)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class UserGroup:
    """Many users per row: they are listed in a table with a row for each."""

    table: str  #: with the columns `group`, `user_no`, `p<path>`, and shares
    key: str  #: column of the relation that says which group is meant
    columns: Mapping[int, str]  #: by path, the column that tells whether a user comes through it
    #: by output column in lower case, what one user contributes to it
    shares: Mapping[str, exp.Expr] = field(default_factory=dict)


def merged_user_columns(user_columns: Iterable[UserColumn], same: Iterable[Class]) -> list[UserColumn]:
    """The user columns of rows that are joined; those of one class become one."""
    found = list(user_columns)
    merged = []
    for users in same:
        columns: dict[int, str] = {}
        for user_column in found:
            if user_column.paths <= users:
                columns.update(user_column.columns)
        if columns:
            merged.append(UserColumn(columns))
    return merged


def share_of(node: exp.Expr, share: Callable[[exp.Column], exp.Expr | None]) -> exp.Expr:
    """An expression for one user: the user's shares in place of the metrics it is computed from.

    Conditions stay as they are: they choose by what the whole group has.
    """
    holder = exp.Paren(this=copied(node))
    for column in list(_valued(holder)):
        found = share(column)
        if found is not None:
            column.replace(exp.Paren(this=found))
    return inside(holder)


def is_shared(node: exp.Expr, share: Callable[[exp.Column], exp.Expr | None]) -> bool:
    """Whether each column of an expression has a share, so that the expression has one, too."""
    columns = list(node.find_all(exp.Column))
    return (
        bool(columns) and all(share(column) is not None for column in columns) and is_linear(node, exp.Column)
    )


def is_linear(node: exp.Expr, kind: type[exp.Expr]) -> bool:
    """Whether nothing is divided by what users share."""
    return not any(division.expression.find(kind) for division in node.find_all(exp.Div, exp.Mod, exp.IntDiv))


def _valued(node: exp.Expr) -> Iterable[exp.Column]:
    """The columns that are in the value of an expression, not in its conditions."""
    if isinstance(node, exp.Column):
        yield node
        return
    for child in _values(node):
        yield from _valued(child)


def _values(node: exp.Expr) -> Sequence[exp.Expr]:
    if isinstance(node, exp.Case):
        return arguments(node)
    if isinstance(node, exp.If):
        return [node.args[name] for name in ("true", "false") if node.args.get(name) is not None]
    if isinstance(node, exp.Anonymous) and node.name.upper() in ("IF", "NVL2"):
        return node.expressions[1:]
    if isinstance(node, exp.Predicate | exp.Window):
        return []
    return [
        child for child in node.iter_expressions() if not isinstance(child, exp.DataType | exp.Identifier)
    ]


def placed(share: exp.Expr, alias: str) -> exp.Expr:
    """A share of a user group that is joined under an alias."""
    found = copied(share)
    holder = exp.Paren(this=found)
    for column in holder.find_all(exp.Column):
        if column.table == GROUP:
            column.set("table", exp.to_identifier(alias, quoted=True))
    return inside(holder)


def shared_column(name: str) -> exp.Column:
    """A column of a group."""
    column = exp.column(exp.to_identifier(name, quoted=True), exp.to_identifier(GROUP, quoted=True))
    column.meta["family"] = "DOUBLE"
    return column


def moved_group(group: UserGroup, paths: Mapping[int, int]) -> UserGroup:
    """The group of a query of WITH, with other names of its paths."""
    return replace(group, columns={paths.get(path, path): column for path, column in group.columns.items()})
