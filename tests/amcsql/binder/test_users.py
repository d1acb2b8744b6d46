"""Users are counted as they come where there is one row for each, and are told apart elsewhere (amc-api 3.3)."""

from __future__ import annotations

import pytest

from ..asking import Tables, compile_

T = Tables()
T.put(
    "views",
    [
        {"user": user, "site": site, "n": n, "at": "2026-01-12"}
        for user, site, n in ((1, "a", 1), (1, "b", 2), (2, "a", 3), (3, "b", 4), (3, "b", 5), (None, "a", 6))
    ],
)
T.put(
    "clicks",
    [
        {"user": user, "site": site, "at": "2026-01-12"}
        for user, site in ((1, "a"), (1, "c"), (4, "a"), (None, "a"))
    ],
)
WITH = (
    "WITH v AS (SELECT user_id, SUM(n) AS n FROM views GROUP BY 1),"
    " c AS (SELECT DISTINCT user_id FROM clicks WHERE user_id IS NOT NULL),"
    " s AS (SELECT user_id, site FROM views GROUP BY 1, 2),"
    " t AS (SELECT COUNT(*) AS n FROM clicks) "
)


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("SELECT COUNT(DISTINCT user_id) FROM v", [(3,)]),
        ("SELECT COUNT(DISTINCT x.user_id) FROM (SELECT user_id FROM v WHERE n > 3) x", [(1,)]),
        (
            "SELECT COUNT(DISTINCT v.user_id), COUNT(DISTINCT c.user_id) FROM v LEFT JOIN c ON c.user_id = v.user_id",
            [(3, 1)],
        ),
        ("SELECT COUNT(DISTINCT IF(v.n > 3, v.user_id, NULL)) FROM v JOIN c ON v.user_id = c.user_id", [(0,)]),
        ("SELECT COUNT(DISTINCT COALESCE(v.user_id, c.user_id)) FROM v FULL JOIN c ON v.user_id = c.user_id", [(4,)]),
        ("SELECT COUNT(DISTINCT v.user_id), MAX(t.n) FROM v CROSS JOIN t", [(3, 4)]),
    ],
)  # fmt: skip
def test_users_with_one_row_each_are_just_counted(sql: str, rows: list[tuple[int, ...]]) -> None:
    assert "DISTINCT" not in compile_(WITH + sql).plain.rpartition("\n)\n")[2]
    assert T.ask(WITH + sql) == rows


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("SELECT COUNT(DISTINCT user_id) FROM views", [(3,)]),
        ("SELECT COUNT(DISTINCT user_id) FROM s", [(3,)]),
        ("SELECT COUNT(DISTINCT n) FROM v", [(3,)]),
        ("SELECT COUNT(DISTINCT v.user_id) FROM v JOIN c ON v.n > 1", [(3,)]),
        ("SELECT COUNT(DISTINCT v.user_id) FROM v JOIN s ON v.user_id = s.user_id", [(3,)]),
        ("SELECT COUNT(DISTINCT v.user_id) FROM v CROSS JOIN c", [(3,)]),
        ("SELECT COUNT(DISTINCT a.user_id) FROM v a JOIN v b ON a.n < b.n", [(2,)]),
        (
            "SELECT COUNT(DISTINCT user_id) FROM (SELECT user_id FROM v UNION ALL SELECT user_id FROM c)",
            [(4,)],
        ),
        ("SELECT COUNT(DISTINCT SUBSTRING(user_id, 1, 1)) FROM v", [(1,)]),
    ],
)
def test_others_are_told_apart(sql: str, rows: list[tuple[int, ...]]) -> None:
    assert "COUNT(DISTINCT" in compile_(WITH + sql).plain
    assert T.ask(WITH + sql) == rows
