"""How many users a row of a result needs, how many it has, and what is left of it (amc-api 3.3)."""

from __future__ import annotations

from typing import Any

import pytest

from ..asking import Tables, compile_, crowd

T = Tables()
#: A column of each level that is shown, and a metric of none.
BY = "SELECT {0}, SUM(n) AS n FROM views GROUP BY 1"


def _views(users: int, **each: Any) -> list[dict[str, Any]]:
    values = {"device": "d", "site": "s", "age": "a", "postal": "p", "n": 1}
    return crowd(users, each={**values, **each})


@pytest.mark.parametrize(
    ("column", "users", "is_shown"),
    [
        ("device", 1, True),
        ("site", 1, False),
        ("site", 2, True),
        ("age", 99, False),
        ("age", 100, True),
        ("postal", 99, False),
        ("postal", 100, True),
        ("CONCAT(site, age)", 99, False),
        ("CONCAT(site, age)", 100, True),
        ("IF(age = 'a', device, '-')", 99, False),
    ],
)
def test_a_row_needs_as_many_users_as_its_most_sensitive_column(
    column: str, users: int, is_shown: bool
) -> None:
    T.put("views", _views(users))
    assert len(T.seen(BY.format(column))) == is_shown


def test_a_column_that_is_null_needs_nobody() -> None:
    T.put("views", [*_views(3, postal=None), *_views(99, site="t")])
    sql = "SELECT site, postal, SUM(n) AS n FROM views GROUP BY 1, 2"
    assert T.seen(sql) == [("s", None, 3)]


def test_an_aggregate_is_a_column_like_others() -> None:
    T.put("views", _views(50))
    assert T.seen("SELECT site, MAX(age) AS a, SUM(n) AS n FROM views GROUP BY 1") == []
    assert T.seen("SELECT site, COUNT(age) AS a, SUM(n) AS n FROM views GROUP BY 1") == [("s", 50, 50)]


def test_users_that_nobody_knows_do_not_count() -> None:
    T.put("views", [*_views(1), *[{"user": None, "site": "s", "n": 1}] * 5])
    assert T.seen(BY.format("site")) == []
    assert T.redacted(BY.format("site")) == [("s", 6, 2, 1, "1 'views' users < 2 required")]


def test_many_rows_of_one_user_are_one_user() -> None:
    T.put("views", [row for _ in range(9) for row in _views(1)])
    assert T.redacted(BY.format("site")) == [("s", 9, 2, 1, "1 'views' users < 2 required")]


def test_where_no_row_belongs_to_users_nothing_is_hidden() -> None:
    T.put("places", [{"postal": "p", "region": "r", "people": 1}])
    query = compile_("SELECT postal, SUM(people) AS n FROM places GROUP BY 1")
    assert query.guarded is None
    assert T.seen("SELECT postal, SUM(people) AS n FROM places GROUP BY 1") == [("p", 1)]


@pytest.mark.parametrize(
    ("numbers", "row"),
    [
        # all contribute alike
        ([1] * 100, None),
        # effective: one adds nothing, NULL or zero
        ([1] * 99 + [0], (99, 100, 99, "99 'views' effective users < 100 required")),
        ([1] * 99 + [None], (99, 100, 99, "99 'views' effective users < 100 required")),
        # where the total is zero nobody contributes, and nothing is told of it
        ([0] * 100, None),
        ([1, -1] * 50, None),
        # what a user takes away counts as what he adds
        ([-1] * 100, None),
        ([-1] * 99 + [0], (-99, 100, 99, "99 'views' effective users < 100 required")),
        # equivalent: the total by the largest part, cut off; two are enough
        ([1] * 98 + [98, 0], (196, 100, 99, "99 'views' effective users < 100 required")),
        ([1] * 99 + [99], None),
        ([1] * 99 + [100], (199, 100, 1, "1 'views' equivalent users < 2 required")),
        ([1] * 99 + [-200], (-101, 100, 0, "0 'views' equivalent users < 2 required")),
    ],
)
def test_the_users_of_a_metric_are_counted_too(numbers: list[Any], row: tuple[Any, ...] | None) -> None:
    T.put("views", [{**each, "n": n} for each, n in zip(_views(100), numbers, strict=True)])
    shown, told = T.seen(BY.format("postal")), T.redacted(BY.format("postal"))
    assert told == ([] if row is None else [("p", *row)])
    assert len(shown) == (row is None)


def test_two_rows_of_one_user_are_his_one_part() -> None:
    T.put("views", [*_views(100), *_views(1, n=60), *_views(1, n=60)])
    assert T.redacted(BY.format("postal"))[0][-1] == "1 'views' equivalent users < 2 required"


@pytest.mark.parametrize(
    ("metric", "is_counted"),
    [
        ("SUM(n)", True),
        ("COUNT(n)", True),
        ("SUM(IF(n > 1, 1, 0))", True),
        ("SUM(n) * 2", True),
        ("COALESCE(SUM(n), 0)", True),
        ("AVG(n)", False),
        ("MAX(n)", False),
        ("COUNT(DISTINCT n)", False),
        ("COUNT(DISTINCT user_id)", False),
    ],
)
def test_only_sums_and_counts_have_effective_users(metric: str, is_counted: bool) -> None:
    T.put("views", [*_views(99, n=None), *crowd(5, first=200, each={"postal": "p", "n": 2})])
    sql = f"SELECT postal, {metric} AS m FROM views GROUP BY 1"
    reasons = [row[-1] for row in T.redacted(sql)]
    assert reasons == (["5 'views' effective users < 100 required"] if is_counted else [])


@pytest.mark.parametrize("is_later", [False, True], ids=["at once", "of sums of each user"])
def test_the_parts_of_users_go_through_queries(is_later: bool) -> None:
    T.put("views", [*_views(99), *_views(1, n=500)])
    per_user = "(SELECT user_id, postal, SUM(n) AS n FROM views GROUP BY 1, 2)"
    sql = f"SELECT postal, SUM(n) AS n FROM {per_user if is_later else 'views'} GROUP BY 1"
    assert T.redacted(sql, has_effective_users=False)[0][-1] == "99 'views' users < 100 required"
    T.put("views", [*_views(100), *_views(1, n=500)])
    assert T.redacted(sql) == [("p", 600, 100, 1, "1 'views' equivalent users < 2 required")]


@pytest.mark.parametrize(
    ("switches", "reasons"),
    [
        ({}, ["50 'views' effective users < 100 required"]),
        ({"has_equivalent_users": False}, ["50 'views' effective users < 100 required"]),
        ({"has_effective_users": False}, ["1 'views' equivalent users < 2 required"]),
        ({"has_effective_users": False, "has_equivalent_users": False}, []),
    ],
)
def test_each_kind_of_users_can_be_left_out(switches: dict[str, bool], reasons: list[str]) -> None:
    numbers = [1] * 49 + [1000] + [0] * 50
    T.put("views", [{**each, "n": n} for each, n in zip(_views(100), numbers, strict=True)])
    assert [row[-1] for row in T.redacted(BY.format("postal"), **switches)] == reasons
    assert len(T.seen(BY.format("postal"), **switches)) == (not reasons)


# -- values in place of rows ------------------------------------------------------------------------------------

VALUES: dict[str, Any] = {
    "behavior": "REMOVE_VALUES",
    "discriminator": "is_filtered",
    "user_count": "users",
    "reason": "why",
}


def test_rows_lose_their_values_and_those_that_are_alike_are_added_up() -> None:
    rows = [
        *_views(120, postal="1"),
        *_views(30, postal="2"),
        *crowd(40, first=500, each={"site": "s", "postal": "3", "n": 2}),
        *crowd(1, first=900, each={"site": "t", "postal": "4", "n": 7}),
    ]
    T.put("views", rows)
    sql = (
        "SELECT site, postal, SUM(n) AS n, COUNT(DISTINCT user_id) AS u, MAX(n) AS m FROM views GROUP BY 1, 2"
    )
    assert T.seen(sql, **VALUES) == [
        ("s", "1", 120, 120, 1, False, 100, None),
        ("s", None, 30, 30, 1, True, 30, "30 'views' users < 100 required"),
        ("s", None, 80, 40, 2, True, 40, "40 'views' users < 100 required"),
        (None, None, 7, 1, 7, True, 1, "1 'views' users < 100 required"),
    ]
    # without a column that tells them apart both are one: the numbers of distinct values are added up, too
    sql = "SELECT site, postal, SUM(n) AS n, COUNT(DISTINCT user_id) AS u FROM views WHERE site = 's' GROUP BY 1, 2"
    assert T.seen(sql, **VALUES)[1] == ("s", None, 110, 70, True, 70, "30 'views' users < 100 required")


def test_a_metric_loses_its_value_where_its_own_level_is_not_met() -> None:
    T.put("views", [{**each, "cost": 3, "score": 4} for each in _views(50)])
    sql = "SELECT site, SUM(n) AS n, SUM(cost) AS c, SUM(score) AS x FROM views GROUP BY 1"
    assert T.seen(sql, behavior="REMOVE_VALUES") == [("s", 50, 150, None)]


def test_nothing_is_left_of_the_most_sensitive_row_but_its_harmless_columns() -> None:
    T.put("views", _views(1))
    sql = "SELECT device, site, age, postal, SUM(n) AS n FROM views GROUP BY 1, 2, 3, 4"
    assert T.seen(sql, behavior="REMOVE_VALUES") == [("d", None, None, None, 1)]


@pytest.mark.parametrize("asked", [{"discriminator": "is_filtered"}, {"behavior": "REMOVE_VALUES"}])
def test_a_discriminator_means_that_values_are_removed(asked: dict[str, Any]) -> None:
    T.put("views", _views(1))
    assert len(T.seen(BY.format("site"), **asked)) == 1
    assert T.seen(BY.format("site")) == []


@pytest.mark.parametrize(
    ("column", "users", "count"),
    [("device", 5, 1), ("site", 1, 1), ("site", 5, 2), ("postal", 5, 5), ("postal", 130, 100)],
)
def test_the_user_count_goes_up_to_what_the_columns_need(column: str, users: int, count: int) -> None:
    T.put("views", _views(users))
    ((*_, told),) = T.seen(BY.format(column), behavior="REMOVE_VALUES", user_count="users")
    assert told == count


def test_the_columns_that_are_asked_for_are_there_where_the_rules_do_not_apply() -> None:
    sql = "SELECT x FROM (VALUES (1)) AS v (x)"
    assert T.seen(sql, **VALUES) == [(1, False, None, None)]
    assert T.seen(sql) == [(1,)]


def test_rows_are_removed_and_still_counted_and_explained() -> None:
    T.put("views", [*_views(120, postal="1"), *_views(5, postal="2")])
    sql = BY.format("postal")
    assert T.seen(sql, user_count="users", reason="why") == [("1", 120, 100, None)]


# -- what is made of the rows afterwards ------------------------------------------------------------------------


def test_rows_are_made_distinct_after_the_rules() -> None:
    T.put("views", [*_views(2, site="s"), *_views(2, site="t"), *_views(1, site="u")])
    sql = "SELECT DISTINCT SUM(n) AS n, LENGTH(MAX(site)) AS letters FROM views GROUP BY site"
    assert T.seen(sql) == [(2, 1)]


def test_both_sides_of_a_union_are_judged_by_their_own_users() -> None:
    T.put("views", _views(120))
    T.put("clicks", crowd(3, each={"postal": "p", "site": "s", "n": 1}))
    arms = "SELECT {0}, SUM(n) AS n FROM views GROUP BY 1 UNION ALL SELECT {0}, SUM(n) AS n FROM clicks GROUP BY 1"
    assert T.seen(arms.format("postal")) == [("p", 120)]
    assert T.seen(arms.format("site")) == [("s", 120), ("s", 3)]
    # one arm's level is that of the other's column, too
    mixed = arms.replace("{0}", "site", 1).replace("{0}", "postal", 1)
    assert T.seen(mixed) == [("s", 120)]


def test_a_union_makes_equal_rows_one_after_the_rules() -> None:
    T.put("views", _views(2))
    T.put("clicks", crowd(2, each={"site": "s", "n": 1}))
    sql = (
        "SELECT site, SUM(n) AS n FROM views GROUP BY 1 UNION SELECT site, SUM(n) AS n FROM clicks GROUP BY 1"
    )
    assert T.seen(sql) == [("s", 2)]


def test_two_columns_of_one_name_keep_their_own_values_and_levels() -> None:
    T.put("views", _views(50))
    sql = "SELECT site AS x, device AS x, postal AS X, COUNT(*) AS c FROM views GROUP BY 1, 2, 3"
    assert T.seen(sql, behavior="REMOVE_VALUES") == [("s", "d", None, 50)]
    assert [output.name for output in compile_(sql).outputs] == ["x", "x0", "X1", "c"]


def test_a_table_is_left_as_it_was_found() -> None:
    T.put("views", _views(2))
    for _ in range(2):
        assert T.seen(BY.format("site")) == [("s", 2)]
    assert T.con.execute("SELECT count(*) FROM duckdb_tables() WHERE temporary").fetchall() == [(0,)]
