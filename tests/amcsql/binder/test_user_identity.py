"""Which users are in a row: of single ones nothing is counted, of crowds everybody (amc-api 3.3)."""

from __future__ import annotations

import pytest

from amci.amcsql.binder.bound import paths_of
from amci.amcsql.binder.user_identity import classes_of

from ..asking import Tables, crowd, look

T = Tables()


def _classes(sql: str) -> list[list[int]]:
    found = look(sql, controls="none")
    assert found.bound is not None
    assert not found.errors
    return sorted(sorted(each) for each in classes_of(found.bound.query))


@pytest.mark.parametrize(
    ("sql", "classes"),
    [
        ("SELECT n FROM views", [[0]]),
        ("SELECT region FROM places", []),
        ("SELECT 1 AS x", []),
        ("SELECT x FROM (VALUES (1)) AS v (x)", []),
        ("SELECT user_id, SUM(n) AS n FROM views GROUP BY 1", [[0]]),
        ("SELECT user_id, site, SUM(n) AS n FROM views GROUP BY 1, 2", [[0]]),
        ("SELECT SUM(n) AS n FROM views GROUP BY user_id", [[0]]),
        ("SELECT site, SUM(n) AS n FROM views GROUP BY 1", []),
        ("SELECT SUM(n) AS n FROM views", []),
        ("SELECT DISTINCT user_id FROM views", [[0]]),
        ("SELECT DISTINCT site FROM views", []),
        ("SELECT UPPER(user_id) AS u, SUM(n) AS n FROM views GROUP BY 1", []),
        ("SELECT IF(n > 1, user_id, NULL) AS u, SUM(n) AS n FROM views GROUP BY 1", []),
        ("SELECT user_id, n FROM views UNION ALL SELECT user_id, n FROM clicks", [[0, 1]]),
        ("SELECT user_id FROM views UNION SELECT user_id FROM clicks", [[0, 1]]),
        ("SELECT site FROM views UNION SELECT site FROM clicks", []),
        ("SELECT n FROM views UNION ALL SELECT people FROM places", [[0]]),
        (
            (
                "SELECT user_id, SUM(n) AS n FROM"
                " (SELECT user_id, n FROM views UNION ALL SELECT user_id, n FROM clicks) GROUP BY 1"
            ),
            [[0, 1]],
        ),
        ("SELECT v.user_id FROM views v JOIN clicks c ON v.user_id = c.user_id GROUP BY 1", [[0, 1]]),
        ("SELECT v.user_id FROM views v FULL JOIN clicks c ON v.user_id = c.user_id GROUP BY 1", []),
        ("SELECT user_id FROM views v FULL JOIN clicks c USING (user_id) GROUP BY 1", [[0, 1]]),
        ("SELECT v.user_id FROM views v CROSS JOIN clicks c GROUP BY 1", [[0]]),
        ("SELECT v.n FROM views v CROSS JOIN clicks c", [[0], [1]]),
        ("WITH f AS (SELECT user_id, n FROM views) SELECT n FROM f", [[0]]),
        (
            "WITH f AS (SELECT user_id, n FROM views) SELECT a.n FROM f a JOIN f b ON a.user_id = b.user_id",
            [[0, 1]],
        ),
        ("WITH f AS (SELECT user_id, n FROM views) SELECT a.n FROM f a CROSS JOIN f b", [[0], [1]]),
    ],
)
def test_a_row_has_one_user_or_many(sql: str, classes: list[list[int]]) -> None:
    assert _classes(sql) == classes


@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        ("SELECT v.n FROM views v JOIN clicks c USING (user_id)", ["views", "clicks"]),
        ("SELECT a.n FROM views a, views b", ["views", "views"]),
        ("WITH f AS (SELECT n FROM views) SELECT a.n FROM f a, f b, f c", ["views", "views", "views"]),
        ("WITH f AS (SELECT n FROM views) SELECT 1 AS x FROM clicks", ["clicks"]),
        # filters bring no users into a row
        ("SELECT n FROM views WHERE user_id IN (SELECT user_id FROM clicks)", ["views"]),
        (
            "SELECT n FROM views v WHERE EXISTS (SELECT 1 FROM clicks c WHERE c.user_id = v.user_id)",
            ["views"],
        ),
    ],
)
def test_each_read_of_a_table_is_a_path(sql: str, tables: list[str]) -> None:
    found = look(sql, controls="none").bound
    assert found is not None
    assert [found.sources[path].name for path in paths_of(found.query)] == tables


#: Who is behind the rows: 99 users with views, 3 of whom click, too.
T.put("views", crowd(99, each={"site": "s", "postal": "p", "n": 2}))
T.put("clicks", crowd(3, each={"site": "s", "postal": "p", "n": 1}))
_PER_USER = "WITH f AS (SELECT user_id, postal, site, SUM(n) AS n FROM views GROUP BY 1, 2, 3)"


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("SELECT postal, SUM(n) AS n FROM views GROUP BY 1", "99 'views' users < 100 required"),
        # through queries, joins and unions
        (f"{_PER_USER} SELECT postal, SUM(n) AS n FROM f GROUP BY 1", "99 'views' users < 100 required"),
        (
            f"{_PER_USER}, g AS (SELECT postal, SUM(n) AS n FROM f GROUP BY 1) SELECT postal, n FROM g",
            "99 'views' users < 100 required",
        ),
        (
            (
                f"{_PER_USER}, g AS (SELECT postal, site, SUM(n) AS n FROM f GROUP BY 1, 2)"
                " SELECT postal, SUM(n) AS n FROM g GROUP BY 1"
            ),
            "99 'views' users < 100 required",
        ),
        (
            "SELECT v.postal, SUM(v.n) AS n FROM views v JOIN clicks c ON c.user_id = v.user_id GROUP BY 1",
            "3 'views' users < 100 required",
        ),
        (
            "SELECT v.postal, SUM(v.n) AS n FROM views v LEFT JOIN clicks c ON c.user_id = v.user_id GROUP BY 1",
            "3 'clicks' users < 100 required",
        ),
        (
            (
                "SELECT postal, SUM(n) AS n FROM"
                " (SELECT postal, n FROM views UNION ALL SELECT postal, n FROM clicks) GROUP BY 1"
            ),
            "3 'clicks' users < 100 required",
        ),
        # two reads of one table are two paths, be it of a table or of a query of WITH
        (
            "SELECT a.postal, SUM(b.n) AS n FROM views a JOIN views b ON a.user_id = b.user_id AND b.n > 5 GROUP BY 1",
            None,
        ),
        (
            "SELECT a.postal, SUM(b.n) AS n FROM views a JOIN views b ON a.user_id = b.user_id GROUP BY 1",
            "99 'views' (path 1 of 2) users < 100 required",
        ),
        (
            f"{_PER_USER} SELECT a.postal, SUM(b.n) AS n FROM f a JOIN f b ON a.user_id = b.user_id GROUP BY 1",
            "99 'views' (path 1 of 2) users < 100 required",
        ),
        (
            (
                "WITH f AS (SELECT user_id, postal FROM views)"
                " SELECT f.postal, COUNT(*) AS n FROM f JOIN clicks c ON c.user_id = f.user_id"
                " JOIN f g ON g.user_id = f.user_id GROUP BY 1"
            ),
            "3 'views' (path 1 of 2) users < 100 required",
        ),
        # a filter is no path: its three users do not count, those who are left do
        (
            "SELECT postal, SUM(n) AS n FROM views WHERE user_id IN (SELECT user_id FROM clicks) GROUP BY 1",
            "3 'views' users < 100 required",
        ),
        (
            (
                "SELECT postal, SUM(n) AS n FROM views v WHERE NOT EXISTS"
                " (SELECT 1 FROM clicks c WHERE c.user_id = v.user_id) GROUP BY 1"
            ),
            "96 'views' users < 100 required",
        ),
    ],
)
def test_the_users_behind_a_row_are_counted_on_every_path(sql: str, reason: str | None) -> None:
    assert T.seen(sql) == []
    assert [row[-1] for row in T.redacted(sql)] == ([reason] if reason else [])


def test_of_two_paths_the_one_with_too_few_is_named() -> None:
    tables = Tables()
    tables.put("views", [*crowd(120, each={"postal": "p", "n": 1}), *crowd(40, each={"postal": "p", "n": 9})])
    per_user = "WITH f AS (SELECT user_id, postal, n FROM views)"
    sql = "SELECT a.postal, SUM(a.n) AS n FROM f a JOIN f b ON a.user_id = b.user_id AND b.n = 9 GROUP BY 1"
    ((*_, reason),) = tables.redacted(f"{per_user} {sql}")
    assert reason == "40 'views' (path 1 of 2) users < 100 required"
    left = sql.replace("JOIN f b", "LEFT JOIN f b")
    ((*_, reason),) = tables.redacted(f"{per_user} {left}")
    assert reason == "40 'views' (path 2 of 2) users < 100 required"


def test_a_window_over_all_rows_adds_no_users() -> None:
    tables = Tables()
    tables.put(
        "views",
        [*crowd(100, each={"postal": "p", "n": 1}), *crowd(99, first=200, each={"postal": "q", "n": 1})],
    )
    sql = (
        "WITH f AS (SELECT postal, SUM(n) AS n FROM views GROUP BY 1)"
        " SELECT postal, n, SUM(n) OVER () AS total FROM f"
    )
    assert tables.seen(sql) == [("p", 100, 199)]
