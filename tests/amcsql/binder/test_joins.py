"""Joins: which rows meet, what USING calls them, and what an equality tells of users (amc-api 3.1)."""

from __future__ import annotations

import pytest

from amci.amcsql.binder.bound import Select
from amci.amcsql.binder.levels import ValueFacts

from ..asking import Tables, look, places

T = Tables()
T.put(
    "views",
    [
        {"user": 1, "site": "a", "device": "tv", "n": 1, "postal": "p1"},
        {"user": 2, "site": "b", "device": "tv", "n": 2, "postal": "p2"},
        {"user": None, "site": "c", "n": 4},
    ],
)
T.put(
    "clicks",
    [
        {"user": 1, "site": "a", "n": 10},
        {"user": 3, "site": "b", "n": 20},
        {"user": None, "site": "c", "n": 40},
    ],
)
T.put("sales", [{"user": 1, "item": "i1", "paid": "1.5"}, {"user": 9, "item": "i9", "paid": "9"}])
T.put("places", [{"postal": "p1", "region": "north", "people": 3}])


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("SELECT v.n, c.n FROM views v JOIN clicks c ON c.user_id = v.user_id", [(1, 10)]),
        (
            "SELECT v.n, c.n FROM views v INNER JOIN clicks c ON c.site = v.site AND c.n > 10",
            [(2, 20), (4, 40)],
        ),
        ("SELECT v.n, c.n FROM views v, clicks c WHERE c.user_id = v.user_id", [(1, 10)]),
        ("SELECT SUM(v.n), COUNT(*) FROM views v CROSS JOIN clicks c", [(21, 9)]),
        (
            "SELECT v.n, c.n FROM views v LEFT JOIN clicks c ON c.user_id = v.user_id",
            [(1, 10), (2, None), (4, None)],
        ),
        ("SELECT v.n, c.n FROM views v LEFT OUTER JOIN clicks c ON FALSE", [(1, None), (2, None), (4, None)]),
        (
            "SELECT v.n, c.n FROM views v FULL JOIN clicks c ON c.user_id = v.user_id",
            [(1, 10), (2, None), (4, None), (None, 20), (None, 40)],
        ),
        # on anything
        ("SELECT v.n, c.n FROM views v JOIN clicks c ON v.n * 10 < c.n", [(1, 20), (1, 40), (2, 40)]),
        ("SELECT v.n FROM views v JOIN clicks c ON v.n = 1 OR c.n = 40", [(1,), (1,), (1,), (2,), (4,)]),
        ("SELECT a.n, b.n FROM views a JOIN views b ON a.device = b.device AND a.n < b.n", [(1, 2)]),
        # USING: the column of both sides is the first that is not NULL
        ("SELECT user_id, v.n, c.n FROM views v JOIN clicks c USING (user_id)", [("u1", 1, 10)]),
        (
            "SELECT user_id, c.n FROM views v LEFT JOIN clicks c USING (user_id)",
            [("u1", 10), ("u2", None), (None, None)],
        ),
        (
            "SELECT user_id, SUM(v.n), SUM(c.n) FROM views v FULL JOIN clicks c USING (user_id) GROUP BY user_id",
            [("u1", 1, 10), ("u2", 2, None), ("u3", None, 20), (None, 4, 40)],
        ),
        (
            "SELECT COUNT(user_id) FROM views FULL OUTER JOIN clicks USING (user_id) WHERE user_id <> 'u1'",
            [(2,)],
        ),
        (
            "SELECT v.user_id, c.user_id FROM views v FULL JOIN clicks c USING (user_id) WHERE user_id = 'u3'",
            [(None, "u3")],
        ),
        (
            (
                "SELECT user_id, item FROM views v FULL JOIN clicks c USING (user_id) FULL JOIN sales s USING (user_id)"
                " WHERE user_id IS NOT NULL"
            ),
            [("u1", "i1"), ("u2", None), ("u3", None), ("u9", "i9")],
        ),
        ("SELECT site, v.n + c.n FROM views v JOIN clicks c USING (user_id, site)", [("a", 11)]),
        ("SELECT region, v.n FROM views v JOIN places USING (POSTAL)", [("north", 1)]),
        # several, one after the other, and with derived tables
        (
            (
                "SELECT v.n, c.n, item FROM views v LEFT JOIN clicks c ON c.user_id = v.user_id"
                " LEFT JOIN sales s ON s.user_id = c.user_id"
            ),
            [(1, 10, "i1"), (2, None, None), (4, None, None)],
        ),
        (
            "SELECT x, c.n FROM (SELECT user_id, n AS x FROM views) JOIN clicks c USING (user_id)",
            [(1, 10)],
        ),
        (
            "SELECT v.n, w.k FROM views v JOIN (VALUES ('a', 'A'), ('b', 'B')) AS w (s, k) ON w.s = v.site",
            [(1, "A"), (2, "B")],
        ),
    ],
)
def test_rows_meet_as_the_join_says(sql: str, rows: list[tuple[object, ...]]) -> None:
    assert T.ask(sql) == rows


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT v.n FROM views v JOIN clicks c", [("join-condition", "JOIN")]),
        ("SELECT v.n FROM views v LEFT JOIN clicks c", [("join-condition", "LEFT JOIN")]),
        ("SELECT v.n FROM views v FULL OUTER JOIN clicks c", [("join-condition", "FULL OUTER JOIN")]),
        ("SELECT v.n FROM views v CROSS JOIN clicks c ON v.n = c.n", [("join-condition", "CROSS JOIN")]),
        ("SELECT v.n FROM views v JOIN clicks c USING (item)", [("unknown-column", "item")]),
        ("SELECT v.n FROM views v JOIN clicks c USING (score)", [("unknown-column", "score")]),
        ("SELECT v.n FROM views v JOIN clicks c USING (user_id, nothing)", [("unknown-column", "nothing")]),
        ("SELECT v.n FROM views v JOIN clicks c ON v.nn = c.n", [("unknown-column", "nn")]),
        ("SELECT v.n FROM views v JOIN clicks v ON TRUE", [("duplicate-name", "clicks v ON TRUE")]),
        ("SELECT v.n FROM views v RIGHT JOIN clicks c ON v.n = c.n", [("right-join", "RIGHT JOIN")]),
        ("SELECT v.n FROM views v NATURAL JOIN clicks c", [("natural-join", "NATURAL")]),
    ],
)
def test_what_cannot_be_joined_so_is_told(sql: str, expected: list[tuple[str, str]]) -> None:
    assert [
        (code, what) for code, what in places(sql, controls="none") if code != "ambiguous-column"
    ] == expected


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT COUNT(*) AS n FROM views v JOIN (VALUES ('p1')) AS k (postal) ON k.postal = v.postal",
        "SELECT COUNT(*) AS n FROM views v JOIN (VALUES ('p1')) AS k (postal) USING (postal)",
        "SELECT COUNT(*) AS n FROM (VALUES ('u1')) AS k (user_id) LEFT JOIN views v USING (user_id)",
        "SELECT COUNT(*) AS n FROM views v, (SELECT 'p1' AS p) k WHERE v.postal = k.p",
        "SELECT COUNT(*) AS n FROM views v JOIN clicks c ON c.user_id = v.user_id AND v.postal <> 'p1'",
        "SELECT COUNT(*) AS n FROM views WHERE (site, postal) IN (SELECT site, 'p1' FROM clicks)",
    ],
)
def test_a_join_with_a_literal_is_a_comparison_with_it(sql: str) -> None:
    assert {code for code, _ in places(sql)} == {"privacy-comparison"}


def _block(sql: str) -> Select:
    found = look(sql, controls="none")
    assert found.bound is not None
    assert not found.errors
    assert isinstance(found.bound.query, Select)
    return found.bound.query


@pytest.mark.parametrize(
    ("sql", "same"),
    [
        ("SELECT 1 AS x FROM views v JOIN clicks c ON c.user_id = v.user_id", [{0, 1}]),
        ("SELECT 1 AS x FROM views v JOIN clicks c ON v.user_id = c.user_id AND v.n < c.n", [{0, 1}]),
        ("SELECT 1 AS x FROM views v JOIN clicks c ON (v.user_id = c.user_id)", [{0, 1}]),
        ("SELECT 1 AS x FROM views v LEFT JOIN clicks c ON v.user_id = c.user_id", [{0, 1}]),
        ("SELECT 1 AS x FROM views v FULL JOIN clicks c USING (user_id)", [{0, 1}]),
        ("SELECT 1 AS x FROM views v, clicks c WHERE v.user_id = c.user_id", [{0, 1}]),
        ("SELECT 1 AS x FROM views v JOIN clicks c ON v.user_id = c.user_id OR v.n = 1", [{0}, {1}]),
        ("SELECT 1 AS x FROM views v JOIN clicks c ON v.user_id <> c.user_id", [{0}, {1}]),
        ("SELECT 1 AS x FROM views v JOIN clicks c ON v.site = c.site", [{0}, {1}]),
        ("SELECT 1 AS x FROM views v CROSS JOIN clicks c", [{0}, {1}]),
        ("SELECT 1 AS x FROM views v JOIN places USING (postal)", [{0}]),
        (
            "SELECT 1 AS x FROM views v JOIN clicks c USING (user_id) JOIN sales s ON s.user_id = c.user_id",
            [{0, 1, 2}],
        ),
        (
            "SELECT 1 AS x FROM (SELECT user_id AS u FROM views) v JOIN (SELECT user_id FROM clicks) c ON u = user_id",
            [{0, 1}],
        ),
        ("SELECT 1 AS x FROM views v JOIN clicks c ON UPPER(v.user_id) = c.user_id", [{0}, {1}]),
    ],
)
def test_an_equality_of_users_makes_them_one(sql: str, same: list[set[int]]) -> None:
    assert sorted(map(sorted, _block(sql).same)) == sorted(map(sorted, same))


def _key(sql: str) -> ValueFacts:
    return _block(sql).outputs[0].facts


@pytest.mark.parametrize(
    ("sql", "identifies", "covers"),
    [
        ("SELECT user_id AS u FROM views", {0}, {0}),
        ("SELECT CAST(user_id AS VARCHAR) AS u FROM views", {0}, {0}),
        ("SELECT CAST(user_id AS VARCHAR(2)) AS u FROM views", set(), set()),
        ("SELECT CAST(user_id AS BIGINT) AS u FROM views", set(), set()),
        ("SELECT UPPER(user_id) AS u FROM views", set(), set()),
        ("SELECT MAX(user_id) AS u FROM views", set(), set()),
        ("SELECT v.user_id AS u FROM views v JOIN clicks c ON v.user_id = c.user_id", {0}, {0, 1}),
        # where it is NULL, a click of somebody may be in the row
        ("SELECT v.user_id AS u FROM views v FULL JOIN clicks c ON v.user_id = c.user_id", {0}, {0}),
        ("SELECT v.user_id AS u FROM views v LEFT JOIN clicks c ON v.user_id = c.user_id", {0}, {0, 1}),
        ("SELECT c.user_id AS u FROM views v LEFT JOIN clicks c ON v.user_id = c.user_id", {1}, {1}),
        ("SELECT user_id AS u FROM views v FULL JOIN clicks c USING (user_id)", {0, 1}, {0, 1}),
        (
            "SELECT COALESCE(c.user_id, v.user_id) AS u FROM views v FULL JOIN clicks c USING (user_id)",
            {0, 1},
            {0, 1},
        ),
        ("SELECT IF(n > 1, user_id, NULL) AS u FROM views", {0}, set()),
        ("SELECT COALESCE(user_id, 'nobody') AS u FROM views", set(), set()),
    ],
)
def test_a_column_tells_whom_it_is_about(sql: str, identifies: set[int], covers: set[int]) -> None:
    found = _key(sql)
    assert (found.identifies, found.covers) == (identifies, covers)
