"""What is counted over the users of groups whose rows have many users each: groups of groups.

A row of a result mostly has one group of a crowd behind it, such as its campaign's. The numbers of that are counted
once, for all rows that have it. Only if several come together are their users looked at again.

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


def is_plain(source: GroupedSource, crowd: UserGroup, metrics: Sequence[Metric]) -> bool:
    """Whether no metric is computed from what users share in the crowd."""
    share = source.shares(crowd)
    return not any(share(column) for metric in metrics for column in metric.added.find_all(exp.Column))


def crowd_detail(
    texts: DuckDBWriter, source: GroupedSource, crowd: UserGroup, metrics: Sequence[Metric]
) -> str:
    """A row for each user of each group: paths, `p<path>`, and what the user adds to the metrics, `v<place>`."""
    if is_plain(source, crowd, metrics):
        rows = f"({_added_up(texts, source, crowd, metrics)}) AS r"
        sums = [f"sum(r.a{place}) AS v{place}" for place in range(len(metrics))]
        return _over_users(rows, "r.g", names(source), sums, crowd)
    share = source.shares(crowd)
    each = (placed(share_of(metric.added, share), _JOINED) for metric in metrics)
    sums = [f"sum({texts.expression(value)}) AS v{place}" for place, value in enumerate(each)]
    keys = [f"{text} AS {name}" for text, name in zip(texts.keys(source.block), names(source), strict=True)]
    columns = ", ".join([*keys, f"{quoted(_JOINED, 'person')} AS person", *_through(crowd), *sums])
    text = source.text(f"JOIN {_table(crowd)} ON {quoted(_JOINED, 'group')} = {crowd.key}")
    return f"SELECT {columns}\n{text}\nGROUP BY ALL"


def crowd_counts(
    texts: DuckDBWriter, source: GroupedSource, crowd: UserGroup, metrics: Mapping[int, Metric]
) -> str:
    """The numbers of each group, as `count_columns` names them; `metrics` by their places in the result."""
    keys = names(source)
    if not is_plain(source, crowd, list(metrics.values())):
        detail = crowd_detail(texts, source, crowd, list(metrics.values()))
        paths = {path: f"p{path}" for path in crowd.columns}
        counts = count_columns("person", paths, {place: f"v{n}" for n, place in enumerate(metrics)})
        return f"SELECT {', '.join([*keys, *counts])} FROM ({detail}){_grouped(keys)}"
    rows = _added_up(texts, source, crowd, list(metrics.values()))
    return counts_of_groups(rows, crowd, keys, list(metrics))


def counts_of_groups(rows: str, crowd: UserGroup, keys: Sequence[str], places: Sequence[int]) -> str:
    """The numbers of each group, from rows that say which groups of the crowd are in it.

    `rows` have the keys, `g`, and `a0`, `a1` … with what was added to the metrics at these `places` of the result.
    """
    paths = {path: f"p{path}" for path in crowd.columns}
    sums = [f"sum(r.a{n}) AS v{n}" for n in range(len(places))]
    several = f"(SELECT * FROM {_ROWS} WHERE amci_several > 1) AS r"
    detail = _over_users(several, "r.g", keys, sums, crowd)
    counts = count_columns("person", paths, {place: f"v{n}" for n, place in enumerate(places)})
    # without keys there is one row for all, which must not be there where there is nothing to count
    having = "" if keys else " HAVING count(*) > 0"
    return (
        f"WITH {_ROWS} AS MATERIALIZED (\nSELECT *, count(*) OVER ({_partition(keys)}) AS amci_several"
        f" FROM ({rows}) WHERE g IS NOT NULL\n)\n"
        f"{_of_one(crowd, keys, places)}\nUNION ALL\n"
        f"SELECT {', '.join([*keys, *counts])} FROM ({detail}){_grouped(keys)}{having}"
    )


def names(source: GroupedSource) -> list[str]:
    """The columns with the keys of groups."""
    return [quoted(f"amci k{place}") for place in range(len(source.block.keys))]


def _of_one(crowd: UserGroup, keys: Sequence[str], places: Sequence[int]) -> str:
    """The numbers of groups with one group of the crowd: each of its users adds the same."""
    paths = {path: quoted(_JOINED, column) for path, column in crowd.columns.items()}
    person = quoted(_JOINED, "person")
    counted = [*count_columns(person, paths, {}), f"count(*) FILTER ({person} <> 0) AS known"]
    numbers = f"SELECT {quoted(_JOINED, 'group')}, {', '.join(counted)} FROM {_table(crowd)} GROUP BY ALL"
    shown = [*(f"r.{key}" for key in keys)]
    for path in crowd.columns:
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


def _added_up(texts: DuckDBWriter, source: GroupedSource, crowd: UserGroup, metrics: Sequence[Metric]) -> str:
    """A row for each group and each group of the crowd in it: `g`, and the metrics' sums, `a<place>`."""
    keys = [f"{text} AS {name}" for text, name in zip(texts.keys(source.block), names(source), strict=True)]
    added = [f"sum({texts.expression(m.added)}) AS a{place}" for place, m in enumerate(metrics)]
    return f"SELECT {', '.join([*keys, f'{crowd.key} AS g', *added])}\n{source.text()}\nGROUP BY ALL"


def _over_users(rows: str, key: str, keys: Sequence[str], sums: Sequence[str], crowd: UserGroup) -> str:
    shown = [f"r.{each} AS {each}" for each in keys]
    columns = ", ".join([*shown, f"{quoted(_JOINED, 'person')} AS person", *_through(crowd), *sums])
    return f"SELECT {columns}\nFROM {rows} JOIN {_table(crowd)} ON {quoted(_JOINED, 'group')} = {key}\nGROUP BY ALL"


def _through(crowd: UserGroup) -> list[str]:
    return [f"bool_or({quoted(_JOINED, column)}) AS p{path}" for path, column in crowd.columns.items()]


def _table(crowd: UserGroup) -> str:
    return f"{quoted(crowd.table)} AS {quoted(_JOINED)}"


def _partition(keys: Sequence[str]) -> str:
    return f"PARTITION BY {', '.join(keys)}" if keys else ""


def _grouped(keys: Sequence[str]) -> str:
    return f" GROUP BY {', '.join(keys)}" if keys else ""
