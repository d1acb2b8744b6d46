from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from amci.kernel.config import parsed
from amci.kernel.errors import UsageError
from amci.tenants.model import Tenant
from amci.workflows.definitions import parameters
from amci.workflows.definitions.definition import Workflow

ACME = Tenant(tenant="acme")
AT = datetime(2026, 11, 3, 3, 30, tzinfo=UTC)
ARRAY = {"type": "ARRAY", "elementDataType": "STRING"}


def workflow(*declared: dict[str, Any], **more: Any) -> Workflow:
    return parsed(
        Workflow, {"workflow_id": "reach", "sql": "SELECT 1", "inputParameters": declared, **more}, "w"
    )


def typed(data_type: Any, value: Any) -> Any:
    return parameters.merged(workflow({"name": "p", "data_type": data_type}), ACME, {"p": value})["p"]


@pytest.mark.parametrize(
    ("data_type", "value", "expected"),
    [
        ("STRING", "x", "x"),
        ("STRING", "", ""),
        ("STRING", "00123", "00123"),
        ("STRING", 123, "123"),
        ("STRING", date(2026, 1, 2), "2026-01-02"),
        ("STRING", "TODAY(-1)", "TODAY(-1)"),
        ("INTEGER", 7, 7),
        ("INTEGER", "7", 7),
        ("integer", " -7 ", -7),
        ("INTEGER", Decimal(7), 7),
        ("BYTE", 127, 127),
        ("SHORT", -32768, -32768),
        ("INTEGER", 2**31 - 1, 2**31 - 1),
        ("LONG", -(2**63), -(2**63)),
        ("DOUBLE", 0.5, 0.5),
        ("DOUBLE", 3, 3),
        ("FLOAT", "1e3", 1000.0),
        ("DOUBLE", Decimal("0.5"), 0.5),
        ("DECIMAL", "19.90", "19.90"),
        ("DECIMAL", Decimal("19.90"), "19.90"),
        ("DECIMAL", Decimal("1E+3"), "1000"),
        ("DECIMAL", 5, 5),
        ("BOOLEAN", True, True),
        ("BOOLEAN", "False", False),
        ("DATE", "2026-02-28", "2026-02-28"),
        ("DATE", date(2026, 2, 28), "2026-02-28"),
        ("DATE", " today(-1) ", "today(-1)"),
        ("TIMESTAMP", "2026-02-28T01:02:03", "2026-02-28T01:02:03"),
        ("TIMESTAMP", "2026-02-28 01:02:03.5Z", "2026-02-28 01:02:03.5Z"),
        ("TIMESTAMP", datetime.fromisoformat("2026-02-28T01:02:03"), "2026-02-28T01:02:03"),
        ("TIMESTAMP", datetime(2026, 2, 28, 1, tzinfo=timezone(timedelta(hours=2))), "2026-02-27T23:00:00Z"),
        ("TIMESTAMP", "NOW()", "NOW()"),
        ("BINARY", "AQID", "AQID"),
        (ARRAY, ["a", 1], ["a", "1"]),
        (ARRAY, ("a",), ["a"]),
        (ARRAY, '["a", "b"]', ["a", "b"]),
        (ARRAY, [], []),
        ({"type": "array", "elementDataType": "LONG"}, "[1, 2]", [1, 2]),
    ],
)
def test_a_value_of_the_type_is_taken_without_loss(data_type: Any, value: Any, expected: Any) -> None:
    found = typed(data_type, value)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("data_type", "value"),
    [
        ("STRING", True),
        ("STRING", 1.5),
        ("STRING", ["a"]),
        ("STRING", "TODAY(1.5)"),
        ("INTEGER", 1.0),
        ("INTEGER", "1.0"),
        ("INTEGER", "1_000"),
        ("INTEGER", "٣"),
        ("INTEGER", True),
        ("INTEGER", Decimal("1.5")),
        ("INTEGER", Decimal("NaN")),
        ("INTEGER", "TODAY()"),
        ("BYTE", 128),
        ("SHORT", -32769),
        ("INTEGER", 2**31),
        ("LONG", 2**63),
        ("LONG", "9" * 30),
        ("DOUBLE", float("nan")),
        ("DOUBLE", float("inf")),
        ("DOUBLE", "inf"),
        ("DOUBLE", "1e999"),
        ("DOUBLE", 10**400),
        ("DOUBLE", Decimal("sNaN")),
        ("DOUBLE", False),
        ("DECIMAL", "1,5"),
        ("DECIMAL", Decimal("Infinity")),
        ("BOOLEAN", "yes"),
        ("BOOLEAN", 1),
        ("DATE", "2026-02-30"),
        ("DATE", "20260228"),
        ("DATE", "2026-02-28T00:00:00"),
        ("DATE", datetime.fromisoformat("2026-02-28T01:02:03")),
        ("DATE", "NOW()"),
        ("DATE", "FIRSTDAYOFOFFSETMONTH()"),
        ("TIMESTAMP", "2026-02-28"),
        ("TIMESTAMP", "2026-02-28T25:00:00"),
        ("TIMESTAMP", "2026-02-28T01:02:03+01:00"),
        (ARRAY, "a"),
        (ARRAY, "[a]"),
        (ARRAY, {"a": 1}),
        (ARRAY, ["a", None]),
        (ARRAY, [["a"]]),
    ],
)
def test_a_value_of_another_type_is_refused_with_the_name_of_the_parameter(
    data_type: Any, value: Any
) -> None:
    with pytest.raises(UsageError, match="parameter p: "):
        typed(data_type, value)


def test_what_is_given_goes_before_the_tenant_before_the_workflow_before_the_default() -> None:
    names = ["a", "b", "c", "d"]
    declared = [{"name": name, "dataType": "STRING", "defaultValue": "default"} for name in names]
    reach = workflow(*declared, values={"acme": dict.fromkeys(names[:3], "workflow"), "other": {"d": "no"}})
    tenant = Tenant(tenant="acme", values={"a": "tenant", "b": "tenant", "unrelated": 1})
    assert parameters.merged(reach, tenant, {"a": "given", "d": None}) == {
        "a": "given",
        "b": "tenant",
        "c": "workflow",
        "d": "default",
    }


def test_everything_wrong_with_what_is_given_is_said_at_once() -> None:
    reach = workflow(
        {"name": "days", "data_type": "LONG"},
        {"name": "since", "data_type": "DATE"},
        {"name": "asin", "data_type": "STRING"},
    )
    with pytest.raises(UsageError) as refused:
        parameters.merged(reach, ACME, {"day": 1, "since": "soon", "zzz": 1})
    said = str(refused.value)
    for part in (
        "workflow reach",
        "no parameter 'day' (did you mean 'days'?)",
        "no parameter 'zzz'",
        "parameter since: 'soon' is not a DATE",
        "parameter days has no value",
        "parameter asin has no value",
    ):
        assert part in said
    assert refused.value.hint == "its parameters are days, since, asin"


def test_a_parameter_whose_default_is_written_as_null_may_stay_without_a_value() -> None:
    reach = workflow({"name": "asin", "data_type": ARRAY, "default_value": None})
    assert parameters.merged(reach, ACME, {}) == {}
    assert parameters.merged(reach, ACME, {"asin": ["B0"]}) == {"asin": ["B0"]}


def test_a_tenants_value_that_does_not_fit_names_the_tenant() -> None:
    reach = workflow({"name": "days", "data_type": "LONG", "default_value": 1})
    with pytest.raises(UsageError, match="tenant acme: parameter days: 'many'"):
        parameters.merged(reach, Tenant(tenant="acme", values={"days": "many"}), {})


def test_dynamic_dates_are_resolved_in_the_zone_in_the_form_of_their_type() -> None:
    reach = workflow(
        {"name": "day", "data_type": "DATE", "default_value": "TODAY(-1)"},
        {"name": "at", "data_type": "TIMESTAMP", "default_value": "TODAY(-1)"},
        {"name": "text", "data_type": "STRING", "default_value": "TODAY()"},
        {
            "name": "days",
            "data_type": {"type": "ARRAY", "elementDataType": "DATE"},
            "default_value": ["TODAY()", "2026-01-01"],
        },
        {"name": "bytes", "data_type": "BINARY", "default_value": "TODAY()"},
        {"name": "sql", "data_type": "STRING", "default_value": "WHERE day > today(-1)"},
    )
    merged = parameters.merged(reach, ACME, {})
    assert merged["day"] == "TODAY(-1)"
    assert parameters.resolved(reach, merged, AT, ZoneInfo("America/New_York")) == {
        "day": "2026-11-01",
        "at": "2026-11-01T00:00:00",
        "text": "2026-11-02T00:00:00",
        "days": ["2026-11-02", "2026-01-01"],
        "bytes": "TODAY()",
        "sql": "WHERE day > today(-1)",
    }


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("SELECT CUSTOM_PARAMETER('a'), custom_parameter ( 'b' )", {"a", "b"}),
        ("SELECT CUSTOM_PARAMETER('it''s')", {"it's"}),
        ("SELECT CUSTOM_PARAMETER(/* the days */ 'a')", {"a"}),
        ("SELECT 'CUSTOM_PARAMETER(''a'')' -- CUSTOM_PARAMETER('b')\n/* CUSTOM_PARAMETER('c') */", set()),
        ("SELECT BUILT_IN_PARAMETER('TIME_WINDOW_START')", set()),
        ("SELECT \"CUSTOM_PARAMETER\"('a'), x.custom_parameter, CUSTOM_PARAMETER(a)", set()),
        ("SELECT 1", set()),
        ("", set()),
    ],
)
def test_placeholders_are_found_among_tokens(sql: str, names: set[str]) -> None:
    assert parameters.placeholders(sql) == names


def test_placeholders_of_sql_that_does_not_end_are_refused() -> None:
    with pytest.raises(UsageError, match="does not end"):
        parameters.placeholders("SELECT 'a")
