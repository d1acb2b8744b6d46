"""The oracle itself: cases done by hand, and its rows against DuckDB's own."""

from __future__ import annotations

from collections import Counter
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings

from .data import BaseRow, Block, blocks, load, row, rows_of
from .oracle import evaluate
from .queries import Agg, Bin, Case, Coalesce, Col, Expr, Join, Lit, Named, Query, Select, Union
from .relations import About
from .removing import Checks, Judged, filtered, is_reason, judged, plain
from .shapes import queries

CON = duckdb.connect(config={"threads": 1})
CON.execute("CREATE SCHEMA amc")
CON.execute("SET schema = 'amc'")


@settings(
    max_examples=40,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(queries, blocks)
def test_its_rows_are_those_of_duckdb(query: Query, several: tuple[Block, ...]) -> None:
    rows = rows_of(several)
    load(CON, rows)
    expected = Counter(tuple(map(plain, each)) for each in CON.execute(query.sql()).fetchall())
    found = evaluate(query, rows).rows
    assert Counter(tuple(plain(cell.value) for cell in each.cells) for each in found) == expected


def a(name: str) -> Col:
    return Col("a", name)


def b(name: str) -> Col:
    return Col("b", name)


def by(key: str, *outputs: Expr, source: Named | Join | None = None) -> Select:
    """Some outputs by a column of `a`."""
    items = ((a(key), key), *((expr, f"n{place}") for place, expr in enumerate(outputs)))
    return Select(items, source or Named("views", "a"), keys=(a(key),), is_aggregated=True)


def of(
    select: Select | Union, views: list[BaseRow], clicks: tuple[BaseRow, ...] = (), **ctes: Any
) -> list[Judged]:
    result = evaluate(Query(tuple(ctes.items()), select), {"views": views, "clicks": clicks, "places": []})
    return sorted(judged(result, Checks()), key=lambda each: repr(each.values))


def view(user: int | None, **values: Any) -> BaseRow:
    return row("views", user, **values)


def click(user: int | None, **values: Any) -> BaseRow:
    return row("clicks", user, **values)


def facts(rows: list[Judged]) -> list[tuple[Any, ...]]:
    """Values, needed, had, and the causes as (kind, users, needed)."""
    return [
        (each.values, each.required, each.actual, [(c.kind, c.users, c.needed) for c in each.causes])
        for each in rows
    ]


def test_unknown_users_count_for_nobody() -> None:
    views = [view(1, site="s1", amount=1), view(1, site="s1", amount=2), view(None, site="s1", amount=4)]
    assert facts(of(by("site", Agg("SUM", a("amount"))), views)) == [
        (("s1", 7), 2, 1, [(0, 1, 2), (1, 1, 2)]),
    ]


def test_a_level_counts_only_where_its_column_is_not_null() -> None:
    views = [view(1, amount=1), view(2, amount=1)]
    assert facts(of(by("postal", Agg("COUNT")), views)) == [((None, 2), 1, 2, [])]
    assert facts(of(by("postal", Agg("MAX", a("income"))), views)) == [((None, None), 1, 2, [])]


@pytest.mark.parametrize(
    ("expr", "about"),
    [
        (Agg("COUNT", a("postal")), About(0, is_metric=True)),
        (Agg("COUNT DISTINCT", a("user_id")), About(0, is_metric=True)),
        (Agg("SUM", a("income")), About(3, is_metric=True)),
        (Bin("/", Agg("SUM", a("cost")), Agg("COUNT")), About(1, is_metric=True)),
        (Agg("MIN", a("postal")), About(3)),
        (Agg("AVG", a("score")), About(2)),
        (Case(((Bin("=", Agg("MAX", a("age")), Lit("old")), Lit(1)),), Lit(0)), About(2)),
        (Coalesce((a("site"), Lit("none"))), About(1)),
    ],
)
def test_levels_and_kinds_go_by_lineage(expr: Expr, about: About) -> None:
    keys = (a("site"),)
    select = Select(((expr, "n"),), Named("views", "a"), keys=keys, is_aggregated=True)
    assert evaluate(Query((), select), {"views": []}).about == (about,)


def test_a_user_who_adds_nothing_is_not_effective() -> None:
    views = [view(1, site="s1", cost=5), view(2, site="s1", cost=0), view(3, site="s1", cost=-5)]
    views += [view(1, site="s2", cost=3), view(2, site="s2", cost=0), view(2, site="s2", cost=None)]
    rows = of(by("site", Agg("SUM", a("cost"))), views)
    # The first total is zero, so that nobody asks whose it is.
    assert facts(rows) == [(("s1", 0), 2, 3, []), (("s2", 3), 2, 1, [(1, 1, 2), (2, 1, 2)])]


@pytest.mark.parametrize(
    ("parts", "equivalent"), [((10, 9), 1), ((10, 10), 2), ((-10, -9), 1), ((10, -9), 0)]
)
def test_equivalent_users_are_the_total_over_the_largest_part(
    parts: tuple[int, int], equivalent: int
) -> None:
    views = [view(user, site="s1", cost=part) for user, part in enumerate(parts, 1)]
    (found,) = of(by("site", Agg("SUM", a("cost"))), views)
    assert [c.users for c in found.causes if c.kind == 2] == ([equivalent] if equivalent < 2 else [])
    assert found.actual == min(equivalent, 2)


def test_a_sum_of_sums_splits_as_the_first_ones_did() -> None:
    views = [view(1, device="tv", site="s1", amount=8), view(2, device="tv", site="s1", amount=1)]
    views += [view(1, device="pc", site="s1", amount=2)]
    inner = Select(
        ((a("site"), "site"), (Agg("SUM", a("amount")), "n")),
        Named("views", "a"),
        keys=(a("site"), a("device")),
        is_aggregated=True,
    )
    (found,) = of(by("site", Agg("SUM", a("n")), source=Named("t", "a")), views, t=inner)
    (metric,) = found.row.cells[1].metrics
    assert (metric.total, dict(metric.shares)) == (11, {1: 10, 2: 1})
    plainly = Select(((a("n"), "n"),), Named("t", "a"))
    shares = [dict(each.row.cells[0].metrics[0].shares) for each in of(plainly, views, t=inner)]
    assert shares == [{1: 2}, {1: 8, 2: 1}]


def test_tables_of_a_join_are_paths_of_their_own() -> None:
    views = [view(user, site="s1", amount=1) for user in (1, 2, 3)]
    clicks = (click(1, amount=1), click(4, amount=1))
    join = Join("LEFT JOIN", Named("views", "a"), Named("clicks", "b"), ((a("user_id"), b("user_id")),))
    (found,) = of(by("site", Agg("SUM", a("amount")), Agg("SUM", b("amount")), source=join), views, clicks)
    assert (found.values, found.actual) == (("s1", 3, 1), 1)
    assert [(c.kind, c.users, set(c.tables)) for c in found.causes] == [
        (0, 1, {"clicks"}),
        (1, 1, {"clicks"}),
        (2, 1, {"clicks"}),
    ]


def test_rows_that_no_row_of_a_path_is_behind_do_not_ask_it() -> None:
    views, clicks = [view(1, site="s1"), view(2, site="s1")], (click(3, site="s2"), click(4, site="s2"))
    arms = Union((by("site", Agg("COUNT")), by("site", Agg("COUNT"), source=Named("clicks", "a"))))
    assert facts(of(arms, views, clicks)) == [(("s1", 2), 2, 2, []), (("s2", 2), 2, 2, [])]


def test_a_row_that_was_added_up_before_has_all_its_users() -> None:
    views = [view(user, site="s1", age="old", amount=1) for user in (1, 2)] + [
        view(3, site="s1", age="young")
    ]
    inner = Select(((a("site"), "site"), (Agg("MAX", a("amount")), "m")), Named("views", "a"),
                   keys=(a("site"), a("age")), is_aggregated=True)  # fmt: skip
    outer = by("site", Agg("COUNT"), Agg("SUM", a("m")), source=Named("t", "a"))
    (found,) = of(outer, views, t=inner)
    assert (found.values, found.actual) == (("s1", 2, 1), 1)
    assert [dict(cell.metrics[0].shares) for cell in found.row.cells[1:]] == [
        {1: 1, 2: 1, 3: 1},
        {1: 1, 2: 1},
    ]


def test_emptied_rows_are_added_up_and_keep_their_reasons() -> None:
    views = [view(1, site="s1", device="tv", amount=3), view(2, site="s2", device="tv", amount=4)]
    views += [view(user, site="s3", device="tv", amount=1) for user in (1, 2)]
    items = ((a("device"), "device"), (a("site"), "site"), (Agg("SUM", a("amount")), "n"))
    select = Select(items, Named("views", "a"), keys=(a("device"), a("site")), is_aggregated=True)
    whole = evaluate(Query((), select), {"views": views})
    shown = filtered(whole, "REMOVE_VALUES", Checks())
    assert [(each.values, each.is_touched) for each in shown] == [
        (("tv", "s3", 2), False),
        (("tv", None, 7), True),
    ]
    assert [each.values for each in filtered(whole, "REMOVE_ROWS", Checks())] == [("tv", "s3", 2)]
    assert is_reason("1 'views' users < 2 required", shown[1], whole)
    assert not is_reason("1 'views' effective users < 2 required", shown[1], whole)
    assert not is_reason("1 'views' (path 1 of 1) users < 2 required", shown[1], whole)
    assert not is_reason("1 'clicks' users < 2 required", shown[1], whole)
    assert not is_reason("1 'views' users < 100 required", shown[1], whole)
