"""Metrics to which several classes of users contribute: a user who is in more than one of them counts once a row.

`COUNT(*)` over rows that join the views of one user with the clicks of another counts for both. A user who
is both of them in some rows, or one of many behind a row that was grouped before, has all these rows together.

In `SELECT COUNT(*) AS n FROM views v JOIN clicks c ON v.site = c.site`, a row of the views of user 1 and the clicks of
user 2 adds one to both, and a row of the views and the clicks of user 1 adds one, not two, to that user (amc-api 3.3).
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from amci.amcsql.duckdb_writer import DuckDBWriter
from amci.amcsql.privacy.grouped_source import GroupedSource, Metric, count_columns
from amci.amcsql.privacy.user_groups import UserColumn, UserGroup
from amci.kernel.names import quoted

_BASE = "amci rows"


def is_joint(source: GroupedSource, metric: Metric) -> bool:
    """Whether several classes contribute to a metric, none of them by shares."""
    classes = _classes(source, metric)
    shared = (source.shares(each) for each in classes if isinstance(each, UserGroup))
    has_shares = any(share(column) for share in shared for column in metric.added.find_all(exp.Column))
    return len(classes) > 1 and not has_shares


def joint_counts(writer: DuckDBWriter, source: GroupedSource, metric: Metric, keys: Sequence[str]) -> str:
    """The numbers of one metric for each group; `keys` are the group's, each `… AS "amci k<n>"`."""
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
        user_no, source = (
            "c.user_no",
            f'{rows} JOIN {quoted(each.table)} AS c ON c."group" = b.q{place}',
        )
    else:
        user_no, source = f"b.q{place}", rows
    conditions = [
        f"{user_no} IS NOT NULL",
        *(_is_not_in(classes[n], n, user_no) for n in range(place)),
    ]
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
