"""Which table and column each name of a query means (amc-api 3.5)."""

from __future__ import annotations

import pytest

from amci.amcsql.query import Query
from amci.amcsql.sources import sources

from ..asking import Tables, look, places, refusal

T = Tables()
T.put(
    "views",
    [
        {"user": 1, "site": "a", "device": "tv", "n": 1, "postal": "p1"},
        {"user": 2, "site": "b", "device": "tv", "n": 2, "postal": "p2"},
        {"user": 2, "site": "b", "device": "pc", "n": 4},
        {"user": None, "site": "c", "device": "pc", "n": 8},
    ],
)
T.put("clicks", [{"user": 1, "site": "a", "n": 10}, {"user": 3, "site": "z", "n": 20}])
T.put("places", [{"postal": "p1", "region": "north", "people": 3}])


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        # queries of WITH
        ("WITH a (x, y) AS (SELECT site, n FROM clicks) SELECT y, x FROM a", [(10, "a"), (20, "z")]),
        (
            "WITH a (x) AS (SELECT site FROM views UNION SELECT site FROM clicks) SELECT MAX(x) FROM a",
            [("z",)],
        ),
        ("WITH a (x) AS (SELECT DISTINCT device FROM views) SELECT x FROM a", [("pc",), ("tv",)]),
        ("WITH a (k, v) AS (VALUES ('a', 1), ('b', 2)) SELECT v FROM a WHERE k = 'b'", [(2,)]),
        ("WITH a AS (SELECT n FROM clicks), b AS (SELECT SUM(n) AS s FROM a) SELECT s FROM b", [(30,)]),
        ("WITH a AS (SELECT 1 AS x), b AS (SELECT 2 AS x) SELECT a.x, b.x FROM a, b", [(1, 2)]),
        # a query of WITH hides a table, but not within itself
        ("WITH clicks AS (SELECT site AS s FROM clicks WHERE n = 20) SELECT s FROM clicks", [("z",)]),
        ("WITH VIEWS AS (SELECT n FROM clicks) SELECT SUM(n) FROM views", [(30,)]),
        ("WITH clicks AS (SELECT 1 AS one) SELECT SUM(n) FROM sandbox.clicks", [(30,)]),
        # WITH within WITH, in a derived table, in the arm of a union
        ("WITH a AS (WITH b AS (SELECT n FROM clicks) SELECT SUM(n) AS s FROM b) SELECT s FROM a", [(30,)]),
        ("WITH a AS (SELECT 1 AS x) SELECT y FROM (WITH a AS (SELECT 2 AS y) SELECT y FROM a)", [(2,)]),
        (
            "WITH a AS (SELECT 1 AS x) SELECT x, y FROM (WITH a AS (SELECT 2 AS y) SELECT y FROM a) CROSS JOIN a",
            [(1, 2)],
        ),
        (
            "SELECT x FROM (WITH a AS (SELECT 1 AS x) SELECT x FROM a) UNION ALL (SELECT SUM(n) FROM clicks)",
            [(1,), (30,)],
        ),
        # derived tables without a name, several of them
        ("SELECT s FROM (SELECT SUM(n) AS s FROM clicks)", [(30,)]),
        ("SELECT s, m FROM (SELECT SUM(n) AS s FROM clicks), (SELECT MAX(n) AS m FROM views)", [(30, 8)]),
        ("SELECT x FROM (SELECT site, n FROM clicks) AS v (y, x)", [(10,), (20,)]),
        (
            "SELECT x FROM (SELECT n FROM clicks UNION ALL SELECT n FROM views) AS v (x) WHERE x > 8",
            [(10,), (20,)],
        ),
        ("SELECT a FROM (VALUES (1, 'x'), (2, 'y')) AS v (a, b) WHERE b = 'y'", [(2,)]),
        # stars
        ("SELECT d.* FROM (SELECT site, n FROM clicks) d", [("a", 10), ("z", 20)]),
        ("SELECT * FROM (SELECT site, n FROM clicks) WHERE n > 10", [("z", 20)]),
        ("WITH a AS (SELECT site FROM clicks) SELECT a.*, 1 AS one FROM a", [("a", 1), ("z", 1)]),
        ("SELECT e.*, d.n FROM (SELECT 1 AS x) e, (SELECT n FROM clicks) d", [(1, 10), (1, 20)]),
        # two columns of one name
        ("SELECT v.site, c.site FROM views v JOIN clicks c ON c.user_id = v.user_id", [("a", "a")]),
        ("SELECT d.* FROM (SELECT site AS a, n AS A FROM clicks) d", [("a", 10), ("z", 20)]),
        # names in any case, quoted or not, with the schema
        ('SELECT V.SITE, "Site" FROM CLICKS AS v WHERE v."N" = 10', [("a", "a")]),
        ("SELECT sandbox.clicks.site FROM sandbox.clicks WHERE n = 10", [("a",)]),
        # the innermost meaning
        (
            "SELECT site FROM clicks WHERE EXISTS (SELECT 1 FROM views WHERE views.user_id = clicks.user_id)",
            [("a",)],
        ),
        (
            "SELECT site FROM clicks c WHERE NOT EXISTS (SELECT 1 FROM views v WHERE v.user_id = c.user_id)",
            [("z",)],
        ),
        ("SELECT site FROM clicks WHERE EXISTS (SELECT site FROM places WHERE region = site)", []),
        (
            "SELECT c.site FROM clicks c WHERE c.user_id IN (SELECT user_id FROM views v WHERE v.site = c.site)",
            [("a",)],
        ),
        ("SELECT n FROM clicks WHERE n IN (SELECT n + 2 FROM views)", [(10,)]),
        ("SELECT n FROM clicks WHERE (site, n) IN (SELECT 'z', 20 FROM views)", [(20,)]),
        ("SELECT n FROM clicks WHERE n NOT IN (SELECT n + 2 FROM views)", [(20,)]),
        (
            (
                "SELECT site FROM clicks c WHERE EXISTS (SELECT 1 FROM views v WHERE EXISTS"
                " (SELECT 1 FROM places p WHERE p.postal = v.postal AND c.user_id = v.user_id))"
            ),
            [("a",)],
        ),
    ],
)
def test_a_name_means_what_is_nearest(sql: str, rows: list[tuple[object, ...]]) -> None:
    assert T.ask(sql) == rows


@pytest.mark.parametrize(
    ("sql", "text", "what", "hint"),
    [
        ("SELECT sitte FROM views", "Column 'sitte' not found in any table", "sitte", "did you mean site?"),
        (
            "SELECT v.sitte FROM views v",
            "Column 'sitte' not found in table 'v'",
            "sitte",
            "did you mean site?",
        ),
        ("SELECT zebra FROM views", "Column 'zebra' not found in any table", "zebra", ""),
        ("SELECT n AS m\nFROM views\nWHERE m = 1", "Column 'm' not found in any table", "m", ""),
        ("SELECT w.site FROM views v", "Table 'w' not found", "w", ""),
        ("SELECT view.site FROM views", "Table 'view' not found", "view", "did you mean views?"),
        ("SELECT views.site FROM views v", "Table 'views' not found", "views", ""),
        ("SELECT site\nFROM view", "Object 'view' not found", "view", "did you mean views?"),
        ("SELECT site FROM other.views", "Object 'views' not found", "views", "did you mean views?"),
        (
            "WITH reach AS (SELECT 1 AS x) SELECT x FROM raech",
            "Object 'raech' not found",
            "raech",
            "did you mean reach?",
        ),
        (
            "WITH a AS (SELECT x FROM b), b AS (SELECT 1 AS x) SELECT x FROM a",
            "Object 'b' not found",
            "b",
            "",
        ),
        ("WITH a AS (SELECT x FROM a) SELECT x FROM a", "Object 'a' not found", "a", ""),
        (
            "SELECT x FROM (WITH a AS (SELECT 1 AS x) SELECT x FROM a) CROSS JOIN a",
            "Object 'a' not found",
            "a",
            "",
        ),
        (
            "SELECT n FROM TABLE(EXTEND_TIME_WINDOW('viws', 'P1D', 'P1D'))",
            "Object 'viws' not found",
            "'viws'",
            "did you mean views?",
        ),
        (
            "WITH later AS (SELECT n FROM views) SELECT n FROM TABLE(EXTEND_TIME_WINDOW('later', 'P1D', 'P1D'))",
            "Object 'later' not found",
            "'later'",
            "",
        ),
        (
            "SELECT site FROM views WHERE site IN (SELECT sitte FROM clicks)",
            "Column 'sitte' not found in any table",
            "sitte",
            "did you mean site?",
        ),
        ("SELECT x.* FROM (SELECT site FROM views) d", "Table 'x' not found", "x.*", ""),
        (
            "SELECT site FROM views UNION ALL SELECT sight FROM clicks",
            "Column 'sight' not found in any table",
            "sight",
            "did you mean site?",
        ),
    ],
)
def test_a_name_that_means_nothing_is_told_with_its_place_and_what_is_near(
    sql: str, text: str, what: str, hint: str
) -> None:
    (found,) = look(sql).errors
    assert (found.text, found.hint) == (text, hint)
    assert places(sql)[0][1] == what


def test_the_same_unknown_name_is_told_wherever_it_stands() -> None:
    assert places("SELECT sitte FROM views WHERE sitte = 'a'") == [("unknown-column", "sitte")] * 2


@pytest.mark.parametrize(
    ("sql", "code", "what"),
    [
        ("SELECT n FROM views v JOIN clicks c ON v.user_id = c.user_id", "ambiguous-column", "n"),
        (
            "SELECT v.n FROM views v JOIN clicks c ON v.user_id = c.user_id AND site = 'a'",
            "ambiguous-column",
            "site",
        ),
        ("SELECT v.n FROM views v, clicks V", "duplicate-name", "clicks V"),
        ("WITH a AS (SELECT 1 AS x), A AS (SELECT 2 AS x) SELECT x FROM a", "duplicate-name", "A"),
        (
            "WITH a (x, y, z) AS (SELECT site, n FROM views) SELECT 1 AS one FROM a",
            "column-aliases",
            "a (x, y, z",
        ),
        ("SELECT 1 AS one FROM (SELECT site, n FROM views) AS v (x)", "column-aliases", "v (x"),
        ("SELECT site FROM views UNION ALL SELECT site, n FROM views", "union-columns", "site, n FROM views"),
        ("SELECT a FROM (VALUES (1, 2), (3)) AS v (a, b)", "values", "1, 2), (3)) AS v (a, b"),
        ("SELECT * FROM views", "star", "*"),
        ("SELECT v.* FROM views v", "star", "v.*"),
        ("SELECT v.site, COUNT(v.*) FROM views v GROUP BY 1", "star", "v.*"),
        ("SELECT d.*, v.* FROM (SELECT 1 AS x) d CROSS JOIN views v", "star", "v.*"),
        ("SELECT site FROM views WHERE site IN (SELECT site, n FROM clicks)", "in-columns", "site"),
        ("SELECT site FROM views WHERE (site, n) IN (SELECT site FROM clicks)", "in-columns", "site, n"),
        ("SELECT (SELECT MAX(n) FROM clicks) AS m FROM views", "scalar-query", "MAX(n) FROM clicks"),
        (
            "SELECT site FROM views WHERE n = (SELECT MAX(n) FROM clicks)",
            "scalar-query",
            "MAX(n) FROM clicks",
        ),
        (
            "SELECT site FROM (views JOIN clicks ON views.n = clicks.n)",
            "nested-join",
            "views JOIN clicks ON views.n = clicks.n",
        ),
    ],
)
def test_what_is_put_together_wrongly_is_told(sql: str, code: str, what: str) -> None:
    found = places(sql)
    assert found[0] == (code, what)
    assert {each for each, _ in found} == {code}


def test_a_table_that_is_not_there_is_told_once_and_its_columns_are_not_asked_for() -> None:
    assert places("SELECT a, b FROM nothing WHERE c = 1 GROUP BY 1, 2") == [("unknown-object", "nothing")]


def test_an_old_name_means_the_table_of_today() -> None:
    found = Query.of("SELECT COUNT(*) AS n FROM display_clicks", sources())
    assert found.bound is not None
    assert [source.name for source in found.bound.sources] == ["dsp_clicks"]


def test_the_place_of_a_mistake_is_that_of_the_name_over_several_lines() -> None:
    found = refusal(
        "SELECT\n  device,\n  SUM(n) AS n,\n  -- what is this\n  sitte\nFROM views\nGROUP BY 1, 3"
    )
    assert (found.place.line, found.place.column, found.place.end_column) == (5, 3, 7)
    assert found.as_amc() == (
        "SQL query was invalid: From line 5, column 3 to line 5, column 7: Column 'sitte' not found in any table"
    )
