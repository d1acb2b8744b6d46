"""Privacy through the HTTP API: what executions leave out, and what they say of their columns (amc-api 2.2)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from amci.sandbox.options import BudgetOptions, SandboxInstance

from .calling import Caller, Calling

REACH = (
    "SELECT campaign, COUNT(DISTINCT user_id) AS users, SUM(impressions) AS n FROM dsp_impressions GROUP BY 1"
)
PEOPLE = "SELECT user_id, COUNT(*) AS n FROM dsp_impressions WHERE user_id IS NOT NULL GROUP BY 1"
POSTAL = "SELECT postal_code, SUM(impressions) AS n FROM dsp_impressions GROUP BY 1"
#: An execution over all events, which are few.
ALL = {"timeWindowType": "ALL"}


def _rows(amc: Caller, **asked: Any) -> list[list[str]]:
    return [line.split(",") for line in amc.download(amc.execute(**ALL, **asked)).splitlines()]


def _execution(amc: Caller, **asked: Any) -> dict[str, Any]:
    return dict(amc.execution(amc.execute(**ALL, **asked)))


@pytest.mark.parametrize(
    ("flags", "status"),
    [
        ({"disableAggregationControls": True, "requireSyntheticData": True}, "SUCCEEDED"),
        ({"disableAggregationControls": "true", "requireSyntheticData": "true"}, "SUCCEEDED"),
        ({"disableAggregationControls": True}, "REJECTED"),
        ({"disableAggregationControls": True, "requireSyntheticData": False}, "REJECTED"),
        ({"requireSyntheticData": True}, "REJECTED"),
        ({}, "REJECTED"),
    ],
)
def test_controls_are_off_only_where_the_data_has_to_be_synthetic(
    amc: Caller, flags: dict[str, Any], status: str
) -> None:
    found = _execution(amc, sqlQuery=PEOPLE, **flags)
    assert found["status"] == status
    assert ("user_id" in found.get("statusReason", "")) is (status == "REJECTED")


def test_without_controls_rows_of_single_users_are_shown(amc: Caller) -> None:
    off = {"disableAggregationControls": True, "requireSyntheticData": True}
    header, *rows = _rows(amc, sqlQuery=PEOPLE, **off)
    assert header == ["user_id", "n"]
    assert len(rows) == len({user for user, _ in rows}) > 10
    literal = PEOPLE.replace("user_id IS NOT NULL", f"user_id = '{rows[0][0]}'")
    assert _rows(amc, sqlQuery=literal, **off)[1:] == rows[:1]


def test_rows_with_too_few_users_are_left_out(amc: Caller) -> None:
    assert _rows(amc, sqlQuery=POSTAL)[1:] == []
    off = {"disableAggregationControls": True, "requireSyntheticData": True}
    assert len(_rows(amc, sqlQuery=POSTAL, **off)) > 10


def test_values_are_left_out_where_a_workflow_asks_for_it(amc: Caller) -> None:
    workflow = {
        "sqlQuery": POSTAL,
        "filteredMetricsDiscriminatorColumn": "is_filtered",
        "distinctUserCountColumn": "users",
        "filteredReasonColumn": "why",
    }
    header, row = _rows(amc, workflow=workflow)
    assert header == ["postal_code", "n", "is_filtered", "users", "why"]
    assert row[0] == ""
    assert int(row[1]) > 0
    assert row[2] == "true"
    assert row[4].endswith("'dsp_impressions' users < 100 required")


def test_the_kinds_and_types_of_the_columns_are_told(amc: Caller) -> None:
    sql = (
        "SELECT campaign, impression_date, COUNT(DISTINCT user_id) AS users, COUNT(*) AS n, SUM(total_cost) / 100000 AS"
        " cost, MAX(impressions) AS most, COLLECT(DISTINCT device_type) AS devices FROM dsp_impressions GROUP BY 1, 2"
    )
    workflow = {"sqlQuery": sql, "distinctUserCountColumn": "counted", "filteredReasonColumn": "why"}
    found = _execution(amc, workflow=workflow)
    told = {each["name"]: (each["columnType"], each["dataType"]) for each in found["outputColumns"]}
    devices = {"type": "ARRAY", "elementDataType": "STRING", "elementNullable": False}
    assert told == {
        "campaign": ("DIMENSION", "STRING"),
        "impression_date": ("DIMENSION", "DATE"),
        "users": ("DIMENSION", "LONG"),
        "n": ("METRIC", "LONG"),
        "cost": ("METRIC", "DOUBLE"),
        "most": ("DIMENSION", "LONG"),
        "devices": ("DIMENSION", devices),
        "counted": ("DIMENSION", "LONG"),
        "why": ("DIMENSION", "STRING"),
    }


def test_a_dry_run_is_checked_and_not_run(amc: Caller) -> None:
    good = amc.execute(sqlQuery=REACH, dryRun=True, **ALL)
    assert amc.status(good) == "SUCCEEDED"
    assert amc.ask("GET", f"/workflowExecutions/{good}/downloadUrls").status == 404
    bad = _execution(amc, sqlQuery=PEOPLE, dryRun=True)
    assert bad["status"] == "REJECTED"
    assert "VERY_HIGH" in bad["statusReason"]
    undeclared = REACH.replace("GROUP BY", "WHERE campaign = CUSTOM_PARAMETER('c') GROUP BY")
    assert "undeclared parameter c." in _execution(amc, sqlQuery=undeclared, dryRun=True)["statusReason"]


def _too_many(amc: Caller, execution: str) -> str:
    workflow = amc.execution(execution)["workflowId"]
    return (
        f'Execution "{execution}" of workflow "{workflow}" could not be run because too many workflows have already'
        " been run against the same input data sources in the same or overlapping time windows."
    )


def test_one_query_too_many_about_the_same_is_refused_in_amcs_words(calling: Calling) -> None:
    amc = calling(budget=BudgetOptions(most=2))
    like = REACH.replace("GROUP BY", "WHERE campaign LIKE '{}%' GROUP BY")
    first, second, third = (amc.execute(sqlQuery=like.format(letter), **ALL) for letter in "ABC")
    assert (amc.status(first), amc.status(second)) == ("SUCCEEDED", "SUCCEEDED")
    assert amc.execution(third)["status"] == "REJECTED"
    assert amc.execution(third)["statusReason"] == _too_many(amc, third)
    # what was asked before, in whatever layout, tells nothing new; nor does another table
    again = amc.execute(sqlQuery=like.format("A").replace(" FROM", "\n  FROM") + " -- again", **ALL)
    clicks = amc.execute(sqlQuery="SELECT COUNT(*) AS n FROM dsp_clicks", **ALL)
    assert (amc.status(again), amc.status(clicks)) == ("SUCCEEDED", "SUCCEEDED")
    # a dry run shows nothing, so it costs nothing
    assert amc.status(amc.execute(sqlQuery=like.format("D"), dryRun=True, **ALL)) == "SUCCEEDED"


def test_the_budget_is_each_instances_and_comes_back_with_time(calling: Calling) -> None:
    instances = tuple(
        SandboxInstance(instance_id=name, entity_id="E", marketplace_id="M", name=name)
        for name in ("amc1", "amc2")
    )
    amc = calling(budget=BudgetOptions(most=1, within=timedelta(hours=1)), instances=instances)
    window = {
        "timeWindowType": "EXPLICIT",
        "timeWindowStart": "2026-10-25T00:00:00",
        "timeWindowEnd": "2026-10-30T00:00:00",
        "timeWindowTimeZone": "UTC",
    }

    def ask(letter: str, **more: Any) -> str:
        sql = REACH.replace("GROUP BY", f"WHERE campaign LIKE '{letter}%' GROUP BY")
        return str(amc.status(amc.execute(sqlQuery=sql, **{**window, **more})))

    assert [ask("A"), ask("B")] == ["SUCCEEDED", "REJECTED"]
    earlier = {"timeWindowStart": "2026-10-20T00:00:00", "timeWindowEnd": "2026-10-25T00:00:00"}
    assert ask("B", **earlier) == "SUCCEEDED"
    amc.instance = instances[1]
    amc.headers = {}
    assert ask("B") == "SUCCEEDED"
    amc.instance = instances[0]
    amc.headers = {}
    amc.clock.turn(timedelta(hours=1))
    assert ask("B") == "SUCCEEDED"
