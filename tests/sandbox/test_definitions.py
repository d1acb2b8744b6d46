"""Workflows saved in AMC (amc-api 2.2), and AMC's own words for what is wrong with them (amc-api 1.5)."""

from __future__ import annotations

from typing import Any

import pytest

from .calling import Caller

SQL = "SELECT campaign, SUM(impressions) AS impressions FROM dsp_impressions GROUP BY 1"
SCHEDULE = {"scheduleId": "s", "workflowId": "reach", "aggregationPeriod": "Daily"}


def test_a_saved_workflow_gives_back_the_fields_that_were_set(amc: Caller) -> None:
    assert amc.workflow("w", SQL).json == {}
    assert amc.ask("GET", "/workflows/w").json == {"workflowId": "w", "sqlQuery": SQL}


def test_a_workflow_may_come_wrapped_as_the_specification_has_it(amc: Caller) -> None:
    assert amc.ask("POST", "/workflows", {"workflow": {"workflowId": "w", "sqlQuery": SQL}}).status == 200
    assert amc.ask("GET", "/workflows/w").json["sqlQuery"] == SQL


def test_a_duplicate_is_refused_in_the_words_clients_compare(amc: Caller) -> None:
    answer = amc.workflow("reach")
    assert answer.status == 400
    assert answer.json == {"code": "400", "details": "Workflow with ID reach already exists."}


def test_a_change_takes_the_place_of_the_definition(amc: Caller) -> None:
    amc.workflow("w", SQL, outputFormat={"separatorCharacter": ";"})
    assert amc.ask("PUT", "/workflows/w", {"sqlQuery": SQL}).json == {}
    assert amc.ask("GET", "/workflows/w").json == {"workflowId": "w", "sqlQuery": SQL}


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_an_unknown_workflow_is_not_found(amc: Caller, method: str) -> None:
    answer = amc.ask(method, "/workflows/nothing", {"sqlQuery": SQL} if method == "PUT" else None)
    assert (answer.status, answer.json["code"]) == (404, "404")


def test_a_deleted_workflow_is_gone(amc: Caller) -> None:
    assert amc.ask("DELETE", "/workflows/reach").json == {}
    assert amc.ask("GET", "/workflows/reach").status == 404


def test_a_workflow_that_a_schedule_refers_to_stays(amc: Caller) -> None:
    assert amc.ask("POST", "/schedules", SCHEDULE).status == 200
    answer = amc.ask("DELETE", "/workflows/reach")
    assert answer.status == 400
    assert "schedules: s" in answer.details
    assert amc.ask("GET", "/workflows/reach").status == 200


def test_workflows_come_in_pages(amc: Caller) -> None:
    for name in ("a", "b", "c"):
        amc.workflow(name)
    first = amc.ask("GET", "/workflows?limit=3").json
    second = amc.ask("GET", f"/workflows?limit=3&nextToken={first['nextToken']}").json
    assert [w["workflowId"] for w in first["workflows"]] == ["a", "b", "c"]
    assert [w["workflowId"] for w in second["workflows"]] == ["reach"]
    assert "nextToken" not in second


@pytest.mark.parametrize("limit", ["0", "101", "many"])
def test_a_page_has_at_most_a_hundred(amc: Caller, limit: Any) -> None:
    assert amc.ask("GET", f"/workflows?limit={limit}").details == "limit must be between 1 and 100."


@pytest.mark.parametrize("token", ["nonsense", "!", "YWZ0ZXI="])
def test_a_token_that_is_none_is_refused(amc: Caller, token: Any) -> None:
    assert amc.ask("GET", f"/workflows?nextToken={token}").details == "Invalid nextToken."


@pytest.mark.parametrize("name", ["", "a b", "a/b", "ä"])
def test_an_id_has_letters_digits_and_three_signs(amc: Caller, name: Any) -> None:
    answer = amc.workflow(name, SQL)
    assert answer.status == 400
    assert answer.details.startswith("workflowId is required")


@pytest.mark.parametrize("body", ["{", "[]", '"x"', ""])
def test_a_body_has_to_be_an_object(amc: Caller, body: Any) -> None:
    answer = amc.ask("POST", "/workflows", body or None)
    assert (answer.status, answer.json["code"]) == (400, "400")


INVALID = "Was unable to compile workflow w because it was found to be invalid: "


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        (
            "SELECT campaign AS c FROM dsp_clicks WHERE ad_slot_size = CUSTOM_PARAMETER('ad_product_type')",
            "Filter operation filter_operation referenced an undeclared parameter ad_product_type.",
        ),
        (
            "SELECT campaign\nFROM foo",
            "SQL query was invalid: From line 2, column 6 to line 2, column 8: Object 'foo' not found",
        ),
        (
            "SELECT nothing FROM dsp_clicks",
            ("SQL query was invalid: From line 1, column 8 to line 1, column 14: "
            "Column 'nothing' not found in any table"),
        ),
        ("SELECT a b c FROM dsp_clicks", 'SQL query was invalid: Encountered "c" at line 1, column 12.'),
        ("SELECT c.campaign FROM dsp_clicks", ("SQL query was invalid: From line 1, column 8 to line 1, column 8: "
         "Table 'c' not found")),
        (
            "SELECT campaign, SUM(clicks) AS n FROM dsp_clicks",
            ("SQL query was invalid: From line 1, column 8 to line 1, column 15: "
            "Expression 'campaign' is not being grouped"),
        ),
    ],
)  # fmt: skip
def test_a_workflow_that_does_not_compile_is_refused_in_calcites_words(
    amc: Caller, sql: Any, says: Any
) -> None:
    answer = amc.workflow("w", sql)
    assert (answer.status, answer.details) == (400, INVALID + says)
    assert amc.ask("GET", "/workflows/w").status == 404


def test_a_change_that_does_not_compile_leaves_the_workflow_as_it_was(amc: Caller) -> None:
    amc.workflow("w", SQL)
    assert amc.ask("PUT", "/workflows/w", {"sqlQuery": "SELECT x FROM foo"}).status == 400
    assert amc.ask("GET", "/workflows/w").json["sqlQuery"] == SQL


def test_a_declared_parameter_compiles(amc: Caller) -> None:
    declared = [{"name": "slots", "dataType": {"type": "ARRAY", "elementDataType": "STRING"}}]
    sql = "SELECT SUM(clicks) AS c FROM dsp_clicks WHERE ARRAY_CONTAINS(CUSTOM_PARAMETER('slots'), ad_slot_size)"
    assert amc.workflow("w", sql, inputParameters=declared).status == 200


def test_a_parameter_of_an_unknown_type_does_not(amc: Caller) -> None:
    answer = amc.workflow(
        "w", "SELECT CUSTOM_PARAMETER('p') AS p", inputParameters=[{"name": "p", "dataType": "MONEY"}]
    )
    assert answer.details == INVALID + (
        "SQL query was invalid: From line 1, column 8 to line 1, column 28: Parameter p has an unknown data type MONEY."
    )
