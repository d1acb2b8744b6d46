"""What AMC's privacy rules refuse before a query is run (amc-api 3.3)."""

from __future__ import annotations

from sqlglot import exp

from amci.amcsql.binder.bound import Bound, QueryExpression, Select, blocks
from amci.amcsql.binder.expressions import check_output
from amci.amcsql.binder.scopes import FindingReport
from amci.amcsql.binder.user_identity import classes_of

_NO_AGGREGATE = "aggregation queries must contain at least one aggregation method on a column"


def check(query: Bound, report: FindingReport) -> None:
    """Report secret columns in the output, and rows that still belong to single users."""
    for output in query.query.outputs:
        check_output(report, _node(query.query, output.name), output.facts, output.name)
    for block in blocks(query.query):
        if not block.has_aggregate and _has_single_users(block):
            report.error(
                block.node, "no-aggregate", _NO_AGGREGATE, "SUM or COUNT a column, and GROUP BY the others"
            )


def _has_single_users(block: Select) -> bool:
    """Whether a row that the SELECT reads may be that of one user."""
    return any(classes_of(item.relation) for item in block.items)


def _node(query: QueryExpression, name: str) -> exp.Expr | None:
    for block in blocks(query):
        for output in block.outputs:
            if output.name == name and output.value is not None:
                return output.value
    return None
