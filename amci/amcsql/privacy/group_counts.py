"""What is counted over the users of groups whose rows have many users each: groups of groups.

A row of the result usually has one earlier group behind it, such as its campaign's. The numbers of such a group are
counted once, for all rows that have it. The users are counted again only if several groups come together.

In `SELECT region, SUM(n) AS n FROM f JOIN regions … GROUP BY 1` over a query `f` of campaigns, a region with one
campaign has just the users of that campaign. A region with two may have users of both, who count once, with what they
add to either (amc-api 3.3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlglot import exp

from amci.amcsql.duckdb_writer import DuckDBWriter
from amci.amcsql.privacy.grouped_source import GroupedSource, Metric, count_columns
from amci.amcsql.privacy.user_groups import UserGroup, placed, share_of
from amci.kernel.names import quoted

_JOINED = "amci c"
_ROWS = quoted("amci rows")


def is_plain(source: GroupedSource, group: UserGroup, metrics: Sequence[Metric]) -> bool:
    """Whether no metric is computed from what users share in the group."""
    share = source.shares(group)
    return not any(share(column) for metric in metrics for column in metric.added.find_all(exp.Column))


def user_group_detail(
    writer: DuckDBWriter, source: GroupedSource, group: UserGroup, metrics: Sequence[Metric]
) -> str:
    """A row for each user of each group: paths, `p<path>`, and what the user adds to the metrics, `v<place>`."""
    if is_plain(source, group, metrics):
        rows = f"({_added_up(writer, source, group, metrics)}) AS r"
        sums = [f"sum(r.a{place}) AS v{place}" for place in range(len(metrics))]
        return _over_users(rows, "r.g", names(source), sums, group)
    share = source.shares(group)
    each = (placed(share_of(metric.added, share), _JOINED) for metric in metrics)
    sums = [f"sum({writer.expression(value)}) AS v{place}" for place, value in enumerate(each)]
    keys = [f"{text} AS {name}" for text, name in zip(writer.keys(source.block), names(source), strict=True)]
    columns = ", ".join([*keys, f"{quoted(_JOINED, 'user_no')} AS user_no", *_through(group), *sums])
    text = source.text(f"JOIN {_table(group)} ON {quoted(_JOINED, 'group')} = {group.key}")
    return f"SELECT {columns}\n{text}\nGROUP BY ALL"


def user_group_counts(
    writer: DuckDBWriter, source: GroupedSource, group: UserGroup, metrics: Mapping[int, Metric]
) -> str:
    """The numbers of each group, as `count_columns` names them; `metrics` by their places in the result."""
    keys = names(source)
    if not is_plain(source, group, list(metrics.values())):
        detail = user_group_detail(writer, source, group, list(metrics.values()))
        paths = {path: f"p{path}" for path in group.columns}
        counts = count_columns("user_no", paths, {place: f"v{n}" for n, place in enumerate(metrics)})
        return f"SELECT {', '.join([*keys, *counts])} FROM ({detail}){_grouped(keys)}"
    rows = _added_up(writer, source, group, list(metrics.values()))
    return counts_of_groups(rows, group, keys, list(metrics))


def counts_of_groups(rows: str, group: UserGroup, keys: Sequence[str], places: Sequence[int]) -> str:
    """The numbers of each group, from rows that say which earlier groups are in it.

    `rows` have the keys, `g`, and `a0`, `a1` … with what was added to the metrics at these `places` of the result.
    """
    paths = {path: f"p{path}" for path in group.columns}
    sums = [f"sum(r.a{n}) AS v{n}" for n in range(len(places))]
    several = f"(SELECT * FROM {_ROWS} WHERE amci_several > 1) AS r"
    detail = _over_users(several, "r.g", keys, sums, group)
    counts = count_columns("user_no", paths, {place: f"v{n}" for n, place in enumerate(places)})
    # without keys there is one row for everything, which must not appear if there is nothing to count
    having = "" if keys else " HAVING count(*) > 0"
    return (
        f"WITH {_ROWS} AS MATERIALIZED (\nSELECT *, count(*) OVER ({_partition(keys)}) AS amci_several"
        f" FROM ({rows}) WHERE g IS NOT NULL\n)\n"
        f"{_of_one(group, keys, places)}\nUNION ALL\n"
        f"SELECT {', '.join([*keys, *counts])} FROM ({detail}){_grouped(keys)}{having}"
    )


def names(source: GroupedSource) -> list[str]:
    """The columns with the keys of groups."""
    return [quoted(f"amci k{place}") for place in range(len(source.block.keys))]


def _of_one(group: UserGroup, keys: Sequence[str], places: Sequence[int]) -> str:
    """The numbers of groups with one earlier group: each of its users adds the same."""
    paths = {path: quoted(_JOINED, column) for path, column in group.columns.items()}
    user_no = quoted(_JOINED, "user_no")
    counted = [*count_columns(user_no, paths, {}), f"count(*) FILTER ({user_no} <> 0) AS known"]
    numbers = f"SELECT {quoted(_JOINED, 'group')}, {', '.join(counted)} FROM {_table(group)} GROUP BY ALL"
    shown = [*(f"r.{key}" for key in keys)]
    for path in group.columns:
        shown += [f"n.{quoted(f'amci n{path}')}", f"n.{quoted(f'amci b{path}')}"]
    for n, place in enumerate(places):
        shown += [
            f"CASE WHEN r.a{n} <> 0 THEN n.known ELSE 0 END AS {quoted(f'amci e{place}')}",
            f"CASE WHEN n.known > 0 THEN abs(r.a{n}) END AS {quoted(f'amci l{place}')}",
        ]
    return (
        f'SELECT {", ".join(shown)} FROM {_ROWS} AS r JOIN ({numbers}) AS n ON n."group" = r.g'
        " WHERE r.amci_several = 1"
    )


def _added_up(
    writer: DuckDBWriter, source: GroupedSource, group: UserGroup, metrics: Sequence[Metric]
) -> str:
    """A row for each group and each earlier group in it: `g`, and the metrics' sums, `a<place>`."""
    keys = [f"{text} AS {name}" for text, name in zip(writer.keys(source.block), names(source), strict=True)]
    added = [f"sum({writer.expression(m.added)}) AS a{place}" for place, m in enumerate(metrics)]
    return f"SELECT {', '.join([*keys, f'{group.key} AS g', *added])}\n{source.text()}\nGROUP BY ALL"


def _over_users(rows: str, key: str, keys: Sequence[str], sums: Sequence[str], group: UserGroup) -> str:
    shown = [f"r.{each} AS {each}" for each in keys]
    columns = ", ".join([*shown, f"{quoted(_JOINED, 'user_no')} AS user_no", *_through(group), *sums])
    return f"SELECT {columns}\nFROM {rows} JOIN {_table(group)} ON {quoted(_JOINED, 'group')} = {key}\nGROUP BY ALL"


def _through(group: UserGroup) -> list[str]:
    return [f"bool_or({quoted(_JOINED, column)}) AS p{path}" for path, column in group.columns.items()]


def _table(group: UserGroup) -> str:
    return f"{quoted(group.table)} AS {quoted(_JOINED)}"


def _partition(keys: Sequence[str]) -> str:
    return f"PARTITION BY {', '.join(keys)}" if keys else ""


def _grouped(keys: Sequence[str]) -> str:
    return f" GROUP BY {', '.join(keys)}" if keys else ""
