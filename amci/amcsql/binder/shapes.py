"""What the nodes of a query say of its shape: the names of columns, stars, kinds of joins."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from sqlglot import exp

from amci.amcsql.binder.bound import JoinKind, OutputColumn, QueryExpression
from amci.amcsql.binder.levels import ValueFacts, of_column
from amci.amcsql.binder.scopes import FindingReport
from amci.amcsql.sources import Source

_FAMILIES = {"FLOAT": "DOUBLE"}


def ctes_of(node: exp.Expr) -> Sequence[exp.Expr]:
    """The queries of a node's own WITH."""
    with_ = node.args.get("with_")
    return with_.expressions if with_ is not None else ()


def cells_of(row: exp.Expr) -> Sequence[exp.Expr]:
    """The values of one row of VALUES."""
    return row.expressions if isinstance(row, exp.Tuple) else [row.unnest()]


def unlike(outputs: Sequence[OutputColumn]) -> list[OutputColumn]:
    """The columns, the second of the same name with a number after it, as Calcite calls it."""
    by_name: dict[str, OutputColumn] = {}
    for output in outputs:
        name, number = output.name, 0
        while name.lower() in by_name:
            name, number = f"{output.name}{number}", number + 1
        by_name[name.lower()] = output if name == output.name else replace(output, name=name)
    return list(by_name.values())


def renamed(query: QueryExpression, cte: exp.Expr, report: FindingReport) -> QueryExpression:
    """The query with the names that its alias gives to its columns."""
    alias = cte.args.get("alias")
    names = alias.args.get("columns") or () if isinstance(alias, exp.TableAlias) else ()
    if names and len(names) != len(query.outputs):
        text = (
            f"List of column aliases must have same degree as table; table has {len(query.outputs)} columns,"
            f" whereas alias list has {len(names)} columns"
        )
        report.error(cte.args["alias"], "column-aliases", text)
        return query
    if names:
        query.outputs = [
            replace(output, name=name.name) for output, name in zip(query.outputs, names, strict=True)
        ]
    return query


def star_of(projection: exp.Expr) -> str | None:
    """The alias before a star, empty if there is none; None if it is not a star."""
    if isinstance(projection, exp.Star):
        return ""
    if isinstance(projection, exp.Column) and isinstance(projection.this, exp.Star):
        return projection.table
    return None


def join_kind(join: exp.Expr) -> JoinKind:
    """How a join joins."""
    if (side := join.text("side")) in ("LEFT", "FULL"):
        return "LEFT" if side == "LEFT" else "FULL"
    is_joined = join.args.get("on") is not None or join.args.get("using")
    return "INNER" if is_joined else "CROSS"


def dimensions(outputs: Iterable[OutputColumn], keys: Sequence[exp.Expr]) -> list[OutputColumn]:
    """The columns; those that rows are grouped by are dimensions, whatever they were before."""
    key_nodes = set(keys)
    return [
        replace(output, facts=replace(output.facts, is_metric=False, is_summed=False))
        if output.value in key_nodes
        else output
        for output in outputs
    ]


def columns_of(source: Source, path: int) -> list[OutputColumn]:
    """The columns of a table that is read in a path; of most, the same is known."""
    facts_by_kind: dict[tuple[str, str, bool], ValueFacts] = {}
    outputs = []
    for column in source.columns:
        kind = (column.threshold, column.type, column.name == "user_id")
        if kind not in facts_by_kind:
            facts_by_kind[kind] = of_column(source, column, path, _family(column.type))
        outputs.append(OutputColumn(column.name, facts_by_kind[kind]))
    return outputs


def _family(data_type: str) -> str:
    plain = data_type.partition("(")[0].partition("[")[0]
    return _FAMILIES.get(plain, plain)
