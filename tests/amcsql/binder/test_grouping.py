"""GROUP BY, HAVING and aggregates: what they mean, and what may stand beside them (amc-api 3.1)."""

from __future__ import annotations

import pytest

from ..asking import Tables, places

T = Tables()
T.put(
    "views",
    [
        {"user": 1, "site": "a", "device": "tv", "n": 1, "cost": 3, "at": "2026-01-11 10:00:00"},
        {"user": 2, "site": "b", "device": "tv", "n": 2, "cost": 4, "at": "2026-01-12 10:30:00"},
        {"user": 1, "site": "b", "device": "pc", "n": 5, "cost": 4, "at": "2026-01-12 23:00:00"},
        {"user": None, "site": None, "device": "pc", "n": 7, "at": "2026-01-13"},
    ],
)


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        # ordinals and aliases
        ("SELECT site, COUNT(*) FROM views GROUP BY 1", [("a", 1), ("b", 2), (None, 1)]),
        ("SELECT COUNT(*), device FROM views GROUP BY 2", [(2, "pc"), (2, "tv")]),
        (
            "SELECT device, site, COUNT(*) FROM views GROUP BY 2, 1, 1 HAVING site = 'b'",
            [("pc", "b", 1), ("tv", "b", 1)],
        ),
        ("SELECT UPPER(site) AS s, COUNT(*) FROM views GROUP BY s", [("A", 1), ("B", 2), (None, 1)]),
        ("SELECT UPPER(site) AS S, COUNT(*) FROM views GROUP BY s", [("A", 1), ("B", 2), (None, 1)]),
        ("SELECT UPPER(site) AS site, COUNT(*) FROM views GROUP BY site", [("A", 1), ("B", 2), (None, 1)]),
        ("SELECT IF(n > 1, 'many', 'one') AS k, COUNT(*) FROM views GROUP BY 1", [("many", 3), ("one", 1)]),
        (
            "SELECT site, 'x' AS k, 1 AS one, COUNT(*) FROM views WHERE n = 1 GROUP BY 1, 2, 3",
            [("a", "x", 1, 1)],
        ),
        ("SELECT 'x' AS k, COUNT(*) FROM views GROUP BY k", [("x", 4)]),
        # an alias of an aggregate is no key: the column of that name is
        ("SELECT SUM(n) AS cost, COUNT(*) FROM views WHERE site = 'b' GROUP BY cost", [(7, 2)]),
        # expressions
        ("SELECT COUNT(*) FROM views GROUP BY UPPER(site), device", [(1,), (1,), (1,), (1,)]),
        ("SELECT UPPER(site), COUNT(*) FROM views GROUP BY UPPER(site)", [("A", 1), ("B", 2), (None, 1)]),
        (
            "SELECT CONCAT(UPPER(site), '!'), COUNT(*) FROM views WHERE n < 7 GROUP BY UPPER(site)",
            [("A!", 1), ("B!", 2)],
        ),
        (
            "SELECT EXTRACT(HOUR FROM at), COUNT(*) FROM views GROUP BY EXTRACT(HOUR FROM at)",
            [(0, 1), (10, 2), (23, 1)],
        ),
        (
            (
                "SELECT CASE WHEN n > 2 THEN 'many' ELSE 'few' END AS k, SUM(n) FROM views"
                " GROUP BY CASE WHEN n > 2 THEN 'many' ELSE 'few' END"
            ),
            [("few", 3), ("many", 12)],
        ),
        # several times the same
        (
            "SELECT site, UPPER(site), COUNT(*) FROM views WHERE n = 1 GROUP BY site, 1, UPPER(site), 2",
            [("a", "A", 1)],
        ),
        # without GROUP BY
        ("SELECT COUNT(*), SUM(n), COUNT(site) FROM views", [(4, 15, 3)]),
        ("SELECT SUM(n) FROM views WHERE site = 'nowhere'", [(None,)]),
        ("SELECT COUNT(*) FROM views WHERE site = 'nowhere'", [(0,)]),
        ("SELECT COUNT(*) FROM views HAVING SUM(n) > 100", []),
        # HAVING
        ("SELECT site AS s, COUNT(*) AS c FROM views GROUP BY s HAVING c > 1", [("b", 2)]),
        ("SELECT site, SUM(n) AS n FROM views GROUP BY 1 HAVING n > 6", [("b", 7), (None, 7)]),
        ("SELECT site, SUM(n) AS n FROM views GROUP BY 1 HAVING SUM(n) > 6 AND site IS NOT NULL", [("b", 7)]),
        ("SELECT site, SUM(n) AS n FROM views GROUP BY 1 HAVING MAX(n) = 2", []),
        ("SELECT site FROM views GROUP BY site HAVING COUNT(DISTINCT user_id) = 2", [("b",)]),
        (
            "SELECT UPPER(site) AS s FROM views GROUP BY 1 HAVING s LIKE 'A%' OR COUNT(*) = 2",
            [("A",), ("B",)],
        ),
        # DISTINCT
        ("SELECT DISTINCT device FROM views", [("pc",), ("tv",)]),
        ("SELECT DISTINCT COUNT(*) FROM views GROUP BY device", [(2,)]),
        (
            "SELECT COUNT(DISTINCT user_id), COUNT(user_id), COUNT(DISTINCT device), SUM(DISTINCT cost) FROM views",
            [(2, 3, 2, 7)],
        ),
        ("SELECT COUNT(DISTINCT user_id, device) FROM views", [(3,)]),
        # windows to group by
        (
            "SELECT ROW_NUMBER() OVER (PARTITION BY device ORDER BY n) AS r, SUM(n) AS n FROM views GROUP BY 1",
            [(1, 6), (2, 9)],
        ),
        (
            (
                "SELECT IF(RANK() OVER w > 2, 'late', 'early') AS k, COUNT(*), MAX(site) FROM views v"
                " WHERE n < 7 GROUP BY k HAVING COUNT(*) > 1 WINDOW w AS (ORDER BY v.n)"
            ),
            [("early", 2, "b")],
        ),
        (
            "SELECT COUNT(DISTINCT user_id) AS u FROM views GROUP BY COUNT(user_id) OVER (PARTITION BY user_id)",
            [(0,), (1,), (1,)],
        ),
        # windows over groups
        ("SELECT device, SUM(n), SUM(SUM(n)) OVER () FROM views GROUP BY 1", [("pc", 12, 15), ("tv", 3, 15)]),
        ("SELECT device, RANK() OVER (ORDER BY SUM(n) DESC) FROM views GROUP BY 1", [("pc", 1), ("tv", 2)]),
        (
            "SELECT device, SUM(n) * 100 / SUM(SUM(n)) OVER () FROM views GROUP BY 1",
            [("pc", 80.0), ("tv", 20.0)],
        ),
        (
            "SELECT site, n, SUM(n) OVER (PARTITION BY site) FROM views WHERE site = 'b'",
            [("b", 2, 7), ("b", 5, 7)],
        ),
    ],
)
def test_rows_are_grouped_as_the_query_says(sql: str, rows: list[tuple[object, ...]]) -> None:
    assert T.ask(sql) == rows


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT site, n FROM views GROUP BY site", [("not-grouped", "n")]),
        ("SELECT site, COUNT(*) FROM views", [("not-grouped", "site")]),
        ("SELECT site, n, COUNT(*) FROM views GROUP BY 1", [("not-grouped", "n")]),
        ("SELECT site, n + SUM(n) FROM views GROUP BY 1", [("not-grouped", "n")]),
        ("SELECT UPPER(site), COUNT(*) FROM views GROUP BY LOWER(site)", [("not-grouped", "site")]),
        ("SELECT site, COUNT(*) FROM views GROUP BY 1 HAVING n > 1", [("not-grouped", "n")]),
        ("SELECT site FROM views HAVING COUNT(*) > 1", [("not-grouped", "site")]),
        ("SELECT site, RANK() OVER (ORDER BY n) FROM views GROUP BY 1", [("not-grouped", "n")]),
        ("SELECT site, COUNT(*) FROM views GROUP BY 1, 3", [("ordinal", "3")]),
        ("SELECT COUNT(*) FROM views GROUP BY 0", [("ordinal", "0")]),
        ("SELECT COUNT(*) FROM views GROUP BY 1.5", [("ordinal", "1.5")]),
        ("SELECT COUNT(*) FROM views GROUP BY 1", [("aggregate-in-group-by", "1")]),
        ("SELECT COUNT(*) FROM views GROUP BY SUM(n)", [("aggregate-in-group-by", "SUM(n)")]),
        ("SELECT COUNT(*) AS c FROM views GROUP BY c", [("unknown-column", "c")]),
        ("SELECT site, COUNT(*) FROM views GROUP BY RANK() OVER (ORDER BY n)", [("not-grouped", "site")]),
        (
            "SELECT RANK() OVER (ORDER BY SUM(n)) AS r, COUNT(*) FROM views GROUP BY 1",
            [("aggregate-in-group-by", "1")],
        ),
        (
            "SELECT n, RANK() OVER (ORDER BY n) AS r FROM views GROUP BY n HAVING r = 1",
            [("window-in-having", "r")],
        ),
        (
            "SELECT n FROM views GROUP BY n HAVING RANK() OVER (ORDER BY n) = 1",
            [("window-in-having", "RANK() OVER (ORDER BY n")],
        ),
        ("SELECT COUNT(*) FROM views WHERE SUM(n) > 1", [("aggregate-in-where", "SUM(n) > 1")]),
        (
            "SELECT COUNT(*) FROM views v JOIN clicks c ON SUM(v.n) = c.n",
            [("aggregate-in-on", "SUM(v.n) = c.n")],
        ),
        ("SELECT SUM(COUNT(*)) FROM views", [("nested-aggregate", "SUM(COUNT(*))")]),
        (
            "SELECT MAX(SUM(n)) OVER (), MAX(MIN(SUM(n))) OVER () FROM views",
            [("nested-aggregate", "MIN(SUM(n))")],
        ),
        ("SELECT site FROM views WHERE s = 'a'", [("unknown-column", "s")]),
        ("SELECT site AS s FROM views WHERE s = 'a'", [("unknown-column", "s")]),
    ],
)
def test_what_cannot_be_grouped_so_is_told(sql: str, expected: list[tuple[str, str]]) -> None:
    assert places(sql, controls="none") == expected


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT site FROM views GROUP BY site",
        "SELECT DISTINCT site FROM views",
        "SELECT site FROM views",
        "SELECT site, n * 2 AS n FROM views WHERE n > 3",
        "SELECT site, SUM(n) OVER (PARTITION BY site) AS s FROM views",
        "SELECT site FROM (SELECT site, n FROM views)",
        "SELECT site, COUNT(*) AS n FROM views GROUP BY 1 UNION ALL SELECT site, n FROM clicks",
        "WITH f AS (SELECT user_id, COUNT(*) AS n FROM views GROUP BY 1) SELECT n FROM f",
        "WITH f AS (SELECT user_id, site FROM views) SELECT f.site FROM f JOIN places p ON f.site = p.region",
    ],
)
def test_rows_of_single_users_need_an_aggregate(sql: str) -> None:
    assert {code for code, _ in places(sql)} == {"no-aggregate"}
    assert places(sql, controls="none") == []


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT site, COUNT(*) AS n FROM views GROUP BY 1",
        "SELECT MAX(site) AS s FROM views",
        "SELECT region FROM places",
        "SELECT 1 AS one",
        "SELECT x FROM (VALUES (1), (2)) AS v (x)",
        "WITH f AS (SELECT site, SUM(n) AS n FROM views GROUP BY 1) SELECT site, n FROM f WHERE n > 3",
        "WITH f AS (SELECT site, SUM(n) AS n FROM views GROUP BY 1) SELECT site, n, SUM(n) OVER () AS total FROM f",
        "WITH f AS (SELECT site, SUM(n) AS n FROM views GROUP BY 1) SELECT DISTINCT site FROM f",
        "SELECT region FROM places WHERE EXISTS (SELECT 1 FROM views WHERE views.postal = places.postal)",
    ],
)
def test_rows_of_many_users_or_of_none_need_no_other_aggregate(sql: str) -> None:
    assert places(sql) == []
