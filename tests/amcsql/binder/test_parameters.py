"""CUSTOM_PARAMETER and BUILT_IN_PARAMETER: the values of an execution in their places (amc-api 3.2)."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from amci.amcsql.privacy.thresholds import Privacy

from ..asking import Tables, compile_, look, places, refusal

T = Tables()
T.put(
    "views",
    [{"user": 1, "site": "a", "n": 1}, {"user": 2, "site": "b", "n": 5}, {"user": 3, "site": None, "n": 9}],
)
T.put("crm", [{"user": 1, "tier": "gold", "spend": 10}])


def _declared(kind: Any, **more: Any) -> list[dict[str, Any]]:
    return [{"name": "p", "dataType": kind, **more}]


def _array(kind: str) -> dict[str, Any]:
    return {"type": "ARRAY", "elementDataType": kind}


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        ("STRING", "it's", "it's"),
        ("STRING", 5, "5"),
        ("STRING", "", ""),
        ("INTEGER", 5, 5),
        ("INTEGER", "5", 5),
        ("LONG", 2**40, 2**40),
        ("LONG", "-7", -7),
        ("SHORT", 2, 2),
        ("BYTE", "1", 1),
        ("DOUBLE", "0.5", 0.5),
        ("FLOAT", 1.5, 1.5),
        ("DECIMAL", "1.25", Decimal("1.25")),
        ("BOOLEAN", True, True),
        ("BOOLEAN", "false", False),
        ("DATE", "2026-01-12", date(2026, 1, 12)),
        ("TIMESTAMP", "2026-01-12T10:11:12", datetime.fromisoformat("2026-01-12T10:11:12")),
        ("CALENDAR_INTERVAL", "1 day", timedelta(days=1)),
        ("BINARY", "ab", b"ab"),
        ("string", "lower", "lower"),
        (_array("STRING"), ["a", "it's"], ["a", "it's"]),
        (_array("LONG"), ["1", 2], [1, 2]),
        (_array("DATE"), ["2026-01-12"], [date(2026, 1, 12)]),
        (_array("STRING"), [], []),
        (_array("STRING"), "one", ["one"]),
        ("STRING", None, None),
        (_array("STRING"), None, None),
    ],
)
def test_a_value_is_of_the_type_that_is_declared(kind: Any, given: Any, value: Any) -> None:
    sql = "SELECT CUSTOM_PARAMETER('p') AS x"
    assert T.ask(sql, declared=_declared(kind), values={"p": given}) == [(value,)]


@pytest.mark.parametrize(
    ("default", "values", "value"),
    [("7", {}, 7), ("7", {"p": 9}, 9), (None, {}, None), ("7", {"q": 1}, 7)],
)
def test_without_a_value_the_default_is_taken_and_without_one_null(
    default: Any, values: dict[str, Any], value: Any
) -> None:
    more = {} if default is None else {"defaultValue": default}
    sql = "SELECT custom_parameter('p') AS x"
    assert T.ask(sql, declared=_declared("INTEGER", **more), values=values) == [(value,)]


@pytest.mark.parametrize(
    ("condition", "kind", "given", "count"),
    [
        ("n > CUSTOM_PARAMETER('p')", "INTEGER", 4, 2),
        ("n > CUSTOM_PARAMETER('p')", "STRING", "4", 2),
        ("site = CUSTOM_PARAMETER('p')", "STRING", "a", 1),
        ("site = CUSTOM_PARAMETER('p')", "STRING", None, 0),
        ("n IN (CUSTOM_PARAMETER('p'), 9)", "INTEGER", 1, 2),
        ("ARRAY_CONTAINS(CUSTOM_PARAMETER('p'), site)", _array("STRING"), ["a", "z"], 1),
        ("ARRAY_CONTAINS(CUSTOM_PARAMETER('p'), n)", _array("LONG"), ["1", 5], 2),
        ("NOT ARRAY_CONTAINS(CUSTOM_PARAMETER('p'), n)", _array("LONG"), [1], 2),
        # as Amazon's own templates ask whether there is a value
        ("CUSTOM_PARAMETER('p') IS NULL OR CARDINALITY(CUSTOM_PARAMETER('p')) = 0", _array("STRING"), [], 3),
        (
            "CUSTOM_PARAMETER('p') IS NULL OR CARDINALITY(CUSTOM_PARAMETER('p')) = 0",
            _array("STRING"),
            None,
            3,
        ),
        ("CUSTOM_PARAMETER('p') IS NULL OR site = CUSTOM_PARAMETER('p')", "STRING", "b", 1),
        ("at >= CUSTOM_PARAMETER('p')", "DATE", "2026-01-16", 0),
        ("CUSTOM_PARAMETER('p')", "BOOLEAN", True, 3),
        ("at > BUILT_IN_PARAMETER('TIME_WINDOW_START')", "STRING", None, 3),
    ],
)
def test_a_parameter_stands_wherever_a_value_does(condition: str, kind: Any, given: Any, count: int) -> None:
    sql = f"SELECT COUNT(*) AS n FROM views WHERE {condition}"
    assert T.ask(sql, declared=_declared(kind), values={"p": given}) == [(count,)]


def test_a_value_cannot_become_sql() -> None:
    evil = "a' OR '1' = '1"
    sql = "SELECT COUNT(*) AS n FROM views WHERE site = CUSTOM_PARAMETER('p')"
    assert T.ask(sql, declared=_declared("STRING"), values={"p": evil}) == [(0,)]


def test_the_edges_of_the_window_are_told_in_utc() -> None:
    zone = timezone(timedelta(hours=-5))
    window = (datetime(2026, 1, 10, tzinfo=zone), datetime(2026, 1, 20, 12, 30, tzinfo=zone))
    sql = "SELECT BUILT_IN_PARAMETER('TIME_WINDOW_START') AS a, CAST(built_in_parameter('Time_Window_End') AS DATE) b"
    assert T.ask(sql, window=window) == [(datetime.fromisoformat("2026-01-10T05:00"), date(2026, 1, 20))]


@pytest.mark.parametrize(
    ("sql", "code", "text", "hint", "what"),
    [
        (
            "SELECT COUNT(*) AS n FROM views\nWHERE n > CUSTOM_PARAMETER('leest')",
            "undeclared-parameter",
            "Filter operation filter_operation referenced an undeclared parameter leest.",
            "did you mean least?",
            "CUSTOM_PARAMETER('leest')",
        ),
        (
            "SELECT CUSTOM_PARAMETER('zebra') AS x",
            "undeclared-parameter",
            "Filter operation filter_operation referenced an undeclared parameter zebra.",
            "declare it among the workflow's input parameters",
            "CUSTOM_PARAMETER('zebra')",
        ),
        (
            "SELECT CUSTOM_PARAMETER('odd') AS x",
            "parameter-type",
            "Parameter odd has an unknown data type NUMBERISH.",
            None,
            "CUSTOM_PARAMETER('odd')",
        ),
        (
            "SELECT BUILT_IN_PARAMETER('NOW') AS x",
            "built-in-parameter",
            "there is no built-in parameter NOW",
            "there are TIME_WINDOW_START and TIME_WINDOW_END",
            "BUILT_IN_PARAMETER('NOW')",
        ),
        (
            "SELECT CUSTOM_PARAMETER(1) AS x",
            "arguments",
            "CUSTOM_PARAMETER takes one name in single quotes",
            "",
            None,
        ),
        (
            "SELECT CUSTOM_PARAMETER('least', 'odd') AS x",
            "arguments",
            "CUSTOM_PARAMETER takes one name in single quotes",
            "",
            None,
        ),
        (
            "SELECT BUILT_IN_PARAMETER(site) AS x FROM views",
            "arguments",
            "BUILT_IN_PARAMETER takes one name in single quotes",
            "",
            None,
        ),
    ],
)
def test_what_is_no_parameter_is_told(
    sql: str, code: str, text: str, hint: str | None, what: str | None
) -> None:
    declared = [{"name": "least", "dataType": "INTEGER"}, {"name": "odd", "dataType": "NUMBERISH"}]
    found = refusal(sql, declared=declared, controls="none")
    assert (found.code, found.text) == (code, text)
    assert hint is None or found.hint == hint
    assert what is None or places(sql, declared=declared, controls="none") == [(code, what)]


def test_amc_says_of_an_undeclared_parameter_only_that() -> None:
    found = refusal("SELECT COUNT(*) AS n FROM views WHERE n > CUSTOM_PARAMETER('p')")
    assert found.as_amc() == "Filter operation filter_operation referenced an undeclared parameter p."


def test_the_parameters_that_a_query_uses_are_told_in_order() -> None:
    sql = "SELECT CUSTOM_PARAMETER('b') AS x, CUSTOM_PARAMETER('a') AS y, CUSTOM_PARAMETER('b') AS z"
    declared = [{"name": name, "dataType": "STRING"} for name in "abc"]
    assert compile_(sql, declared=declared).parameters == ["b", "a"]
    assert look(sql).parameters == ["b", "a"]


@pytest.mark.parametrize(
    ("condition", "source", "is_refused"),
    [
        ("site = CUSTOM_PARAMETER('p')", "views", False),
        ("postal = CUSTOM_PARAMETER('p')", "views", True),
        ("ARRAY_CONTAINS(ARRAY[CUSTOM_PARAMETER('p')], postal)", "views", True),
        ("postal IS NULL OR CUSTOM_PARAMETER('p') IS NULL", "views", False),
        # what an advertiser uploaded may be filtered by, but for its users
        ("tier = CUSTOM_PARAMETER('p')", "crm", False),
        ("spend > 5", "crm", False),
        ("user_id = CUSTOM_PARAMETER('p')", "crm", True),
    ],
)
def test_a_parameter_is_compared_as_a_literal_is(condition: str, source: str, is_refused: bool) -> None:
    sql = f"SELECT COUNT(*) AS n FROM {source} WHERE {condition}"
    codes = {code for code, _ in places(sql, declared=_declared("STRING"), values={"p": "x"})}
    assert codes == ({"privacy-comparison"} if is_refused else set())


def test_a_default_is_no_less_a_parameter() -> None:
    sql = "SELECT COUNT(*) AS n FROM views WHERE postal = CUSTOM_PARAMETER('p')"
    found = refusal(sql, declared=_declared("STRING", defaultValue="p1"), privacy=Privacy())
    assert found.code == "privacy-comparison"


def test_windows_move_with_the_execution() -> None:
    sql = "SELECT BUILT_IN_PARAMETER('TIME_WINDOW_END') AS x"
    for day in (11, 12):
        window = (datetime(2026, 1, 10, tzinfo=UTC), datetime(2026, 1, day, tzinfo=UTC))
        assert T.ask(sql, window=window) == [(datetime.fromisoformat(f"2026-01-{day}"),)]
