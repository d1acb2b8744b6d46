from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from amci.amcsql.findings import CompileError
from amci.sandbox.audiences import rules as audience_rules
from amci.sandbox.audiences.rules import INVALID_TABLES
from amci.sandbox.audiences.simulation import NextStep, RefreshRule, next_step, refresh_interval, sizes
from amci.sandbox.errors import NoAudience

MADE = datetime(2026, 11, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SEEN = "SELECT user_id FROM dsp_impressions_for_audiences"


def fault(sql: str) -> str:
    """What AMC says against an audience's query; empty where it keeps the rules."""
    try:
        audience_rules.check(sql)
    except NoAudience as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    "sql",
    [
        SEEN,
        "SELECT DISTINCT a.User_Id FROM dsp_clicks_for_audiences a",
        f"({SEEN}) UNION ALL ({SEEN})",
        f"WITH dsp_impressions AS ({SEEN}) SELECT user_id FROM dsp_impressions",
        "SELECT user_id FROM my_customers WHERE city = 'a;b'",
        f"{SEEN} -- interval; no more",
        "SELECT user_id FROM TABLE(EXTEND_TIME_WINDOW('dsp_clicks_for_audiences', 'P14D', 'P0D'))",
        f"SELECT user_id FROM ({SEEN}) GROUP BY user_id HAVING COUNT(*) > 2",
    ],
)
def test_a_query_that_keeps_the_rules_passes(sql: str) -> None:
    assert fault(sql) == ""


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT user_id FROM dsp_impressions",
        "SELECT user_id FROM Display_Impressions",
        f"{SEEN} WHERE user_id IN (SELECT user_id FROM dsp_clicks)",
        "WITH a AS (SELECT user_id FROM conversions) SELECT user_id FROM a",
        f"SELECT i.user_id FROM ({SEEN}) i, dsp_clicks c",
        "SELECT user_id FROM TABLE(EXTEND_TIME_WINDOW('dsp_clicks', 'P14D', 'P0D'))",
    ],
)
def test_tables_for_measurement_make_no_audience(sql: str) -> None:
    assert fault(sql) == INVALID_TABLES


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        (f"{SEEN};", 'Encountered ";" at line 1, column 50.'),
        (
            f"{SEEN}\n WHERE d > CURRENT_DATE - INTERVAL '1' DAY",
            "line 2, column 27: interval data types are not enabled",
        ),
        ("SELECT user_id, campaign FROM my_customers", "as its only column; found user_id, campaign."),
        ("SELECT campaign AS name FROM my_customers", "found name."),
        ("SELECT COUNT(user_id) FROM my_customers", "found a column without a name."),
        (f"{SEEN} UNION SELECT campaign FROM my_customers", "found campaign."),
        ("((SELECT user_id, day FROM my_customers))", "found user_id, day."),
    ],
)
def test_what_an_audience_query_may_not_have_is_named(sql: str, says: str) -> None:
    assert says in fault(sql)


def test_what_is_no_amc_sql_does_not_compile() -> None:
    with pytest.raises(CompileError, match="line 1, column 18"):
        audience_rules.check("SELECT what that may mean")


@pytest.mark.parametrize(
    ("asked", "age", "more", "days"),
    [
        (1, 0, {}, 1),
        (1, 13, {}, 1),
        (1, 14, {}, 2),
        (1, 30, {}, 7),
        (21, 30, {}, 21),
        (1, 99, {}, 7),
        (1, 100, {}, 0),
        (0, 0, {}, 0),
        (1, 200, {"is_attached": True}, 1),
        (1, 29, {"is_attached": True, "is_window_moving": False}, 1),
        (1, 30, {"is_attached": True, "is_window_moving": False}, 7),
        (1, 0, {"query_takes": 4 * HOUR}, 1),
        (1, 0, {"query_takes": 5 * HOUR}, 2),
        (1, 14, {"query_takes": 5 * HOUR}, 2),
        (5, 0, {"query_takes": 5 * HOUR}, 5),
    ],
)
def test_amc_slows_down_what_is_of_little_use(
    asked: int, age: int, more: dict[str, object], days: int
) -> None:
    rule = RefreshRule(**{"refresh_days": asked, "created_at": MADE, "is_window_moving": True} | more)  # type: ignore[arg-type]
    assert refresh_interval(rule, age * DAY) == days


def test_after_a_refresh_comes_another_or_the_end() -> None:
    rule = RefreshRule(refresh_days=7, created_at=MADE, is_window_moving=True)
    assert next_step(rule, MADE) == NextStep("refresh", MADE + 7 * DAY, 7)
    assert next_step(rule, MADE + 105 * DAY) == NextStep("deactivate", MADE + 135 * DAY)


@pytest.mark.parametrize(
    ("reach", "smallest", "largest"),
    [
        ("MOST_SIMILAR", 50, 100),
        ("SIMILAR", 150, 300),
        ("BALANCED", 200, 550),
        ("BROAD", 250, 750),
        ("MOST_BROAD", 300, 1000),
    ],
)
def test_lookalikes_are_as_large_as_amazon_says_of_twenty_million(
    reach: str, smallest: int, largest: int
) -> None:
    assert sizes(reach, 2000) == (smallest, largest)
