"""Workflow executions (amc-api 2.2)."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest

from amci.sandbox.options import SandboxInstance

from .calling import Caller, Calling

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
AT_CREATION = {
    "createTime", "dataGaps", "disableAggregationControls", "executionCategory", "expireTime", "ignoreDataGaps",
    "lastUpdatedTime", "parameterValues", "requireSyntheticData", "status", "timeWindowTimeZoneOriginal",
    "waitUntil", "workflowExecutionId", "workflowExecutionTimeoutSeconds", "workflowId",
}  # fmt: skip
WINDOW = {"timeWindowStart", "timeWindowEnd", "timeWindowStartOriginal", "timeWindowEndOriginal"}
AT_THE_END = {
    "availableTimeBeforeWindowSecs", "executionTime", "invalidationOffsetSecs", "outputChannels", "outputColumns",
    "outputS3URI", "validatedTime",
}  # fmt: skip
EXPLICIT = {
    "workflowId": "reach",
    "timeWindowType": "EXPLICIT",
    "timeWindowStart": "2026-10-01T00:00:00",
    "timeWindowEnd": "2026-10-02T00:00:00",
}


def test_an_execution_has_the_live_keys_at_creation_and_in_the_end(amc: Caller) -> None:
    made = amc.ask("POST", "/workflowExecutions", {"workflowId": "reach"}).json
    assert made.keys() == AT_CREATION
    assert made["status"] == "PENDING"
    assert uuid.UUID(made["workflowExecutionId"]).version == 4
    ended = amc.execution(made["workflowExecutionId"])
    assert ended.keys() == AT_CREATION | WINDOW | AT_THE_END
    assert list(ended) == sorted(ended)
    assert ended["status"] == "SUCCEEDED"


def test_times_are_as_live(amc: Caller) -> None:
    made = amc.ask("POST", "/workflowExecutions", EXPLICIT).json
    assert {name: made[name] for name in ("createTime", "expireTime", "waitUntil", *sorted(WINDOW))} == {
        "createTime": "2026-11-01T06:00:00Z",
        "expireTime": "2026-11-02T06:00:00Z",
        "waitUntil": "2026-11-01T05:00:00Z",
        "timeWindowStart": "2026-10-01T00:00:00Z",
        "timeWindowEnd": "2026-10-02T00:00:00Z",
        "timeWindowStartOriginal": "2026-10-01T00:00:00",
        "timeWindowEndOriginal": "2026-10-02T00:00:00",
    }


def test_a_window_is_local_to_its_time_zone(amc: Caller) -> None:
    asked = EXPLICIT | {"timeWindowTimeZone": "America/New_York"}
    made = amc.ask("POST", "/workflowExecutions", asked).json
    assert made["timeWindowStart"] == "2026-10-01T04:00:00Z"
    assert made["timeWindowStartOriginal"] == "2026-10-01T00:00:00"
    assert made["timeWindowTimeZoneOriginal"] == "America/New_York"


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({}, "One of workflowId and workflow must be specified."),
        ({"workflowId": "reach", "workflow": {"sqlQuery": "SELECT 1 AS a"}}, "Only one of workflowId and workflow"),
        ({"workflow": {}}, "workflow must have a sqlQuery."),
        ({"workflow": "reach"}, "workflow must have a sqlQuery."),
        (EXPLICIT | {"timeWindowEnd": None}, "timeWindowStart and timeWindowEnd are required"),
        (EXPLICIT | {"timeWindowEnd": "2026-10-01T00:00:00"}, "Invalid time window: timeWindowStart must be before"),
        (EXPLICIT | {"timeWindowEnd": "tomorrow"}, "Invalid time window: 'tomorrow' is not"),
        (EXPLICIT | {"timeWindowTimeZone": "Mars/Base"}, "Invalid time window: 'Mars/Base' is not a time zone"),
        ({"workflowId": "reach", "timeWindowType": "DAY"}, "Invalid timeWindowType DAY"),
        ({"workflowId": "reach", "workflowExecutionTimeoutSeconds": 899}, "workflowExecutionTimeoutSeconds must"),
        ({"workflowId": "reach", "parameterValues": []}, "parameterValues must be a map"),
    ],
)  # fmt: skip
def test_a_request_that_makes_no_sense_is_refused(amc: Caller, asked: Any, says: Any) -> None:
    answer = amc.ask("POST", "/workflowExecutions", asked)
    assert answer.status == 400
    assert answer.details.startswith(says)


def test_an_execution_of_an_unknown_workflow_is_not_found(amc: Caller) -> None:
    assert amc.ask("POST", "/workflowExecutions", {"workflowId": "nothing"}).status == 404


@pytest.mark.parametrize(
    "asked", [{"workflow": {"sqlQuery": "SELECT 1 AS a"}}, {"sqlQuery": "SELECT 1 AS a"}]
)
def test_a_workflow_sent_along_gets_a_transient_id(amc: Caller, asked: Any) -> None:
    execution = amc.execution(amc.execute(**asked))
    assert execution["workflowId"].startswith("transient_")
    assert execution["status"] == "SUCCEEDED"


def test_a_workflow_sent_along_keeps_the_id_it_has(amc: Caller) -> None:
    execution = amc.execution(amc.execute(workflow={"workflowId": "mine", "sqlQuery": "SELECT 1 AS a"}))
    assert execution["workflowId"] == "mine"


def test_a_change_of_the_workflow_does_not_reach_an_execution_that_waits(calling: Calling) -> None:
    amc = calling(pending=MINUTE)
    amc.workflow("reach", "SELECT 1 AS a")
    waiting = amc.execute()
    amc.ask("PUT", "/workflows/reach", {"sqlQuery": "SELECT 2 AS a"})
    amc.clock.turn(MINUTE)
    assert amc.download(waiting) == "a\n1\n"


def test_the_workflow_is_shown_when_it_is_asked_for(amc: Caller) -> None:
    execution = amc.execute()
    plain = amc.ask("GET", f"/workflowExecutions/{execution}").json
    more = amc.ask("GET", f"/workflowExecutions/{execution}?includeWorkflow=true").json
    assert "sqlQuery" not in plain
    assert more["sqlQuery"].startswith("SELECT a")


def test_flags_may_be_text(amc: Caller) -> None:
    execution = amc.execution(
        amc.execute(
            ignoreDataGaps="true", disableAggregationControls=True, workflowExecutionTimeoutSeconds="900"
        )
    )
    flags = ("ignoreDataGaps", "disableAggregationControls", "requireSyntheticData")
    assert [execution[name] for name in flags] == [True, True, False]
    assert execution["workflowExecutionTimeoutSeconds"] == 900


def test_a_dry_run_succeeds_without_a_result(amc: Caller) -> None:
    execution = amc.execute(dryRun=True)
    assert amc.status(execution) == "SUCCEEDED"
    assert amc.ask("GET", f"/workflowExecutions/{execution}/downloadUrls").status == 404


@pytest.mark.parametrize("is_dry", [True, False])
def test_a_query_that_does_not_compile_is_rejected_in_the_words_of_the_workflow(
    amc: Caller, is_dry: Any
) -> None:
    execution = amc.execution(
        amc.execute(workflow={"workflowId": "w", "sqlQuery": "SELECT x FROM foo"}, dryRun=is_dry)
    )
    assert execution["status"] == "REJECTED"
    assert execution["statusReason"] == (
        "Was unable to compile workflow w because it was found to be invalid: SQL query was invalid: "
        "From line 1, column 15 to line 1, column 17: Object 'foo' not found"
    )


@pytest.mark.parametrize("is_dry", [True, False])
def test_a_query_that_does_not_bind_is_rejected_too(amc: Caller, is_dry: Any) -> None:
    sql = "SELECT nothing FROM dsp_clicks"
    execution = amc.execution(amc.execute(workflow={"workflowId": "w", "sqlQuery": sql}, dryRun=is_dry))
    assert execution["status"] == "REJECTED"
    assert execution["statusReason"].endswith("Column 'nothing' not found in any table")


def test_a_query_that_breaks_while_it_runs_fails(amc: Caller) -> None:
    amc.workflow("breaks", "SELECT MAX(CAST(campaign AS BIGINT)) AS n FROM dsp_impressions")
    execution = amc.execution(amc.execute(workflowId="breaks"))
    assert execution["status"] == "FAILED"
    assert execution["statusReason"].startswith("Query could not be run: ")


def test_executions_are_listed_newest_first(amc: Caller) -> None:
    made = [amc.execute() for _ in range(3)]
    listed = amc.ask("GET", "/workflowExecutions?workflowId=reach").json["executions"]
    assert [e["workflowExecutionId"] for e in listed] == made[::-1]
    ascending = amc.ask("GET", "/workflowExecutions?workflowId=reach&sortAscending=true").json["executions"]
    assert [e["workflowExecutionId"] for e in ascending] == made


@pytest.mark.parametrize(
    "query", ["", "?minCreationTime=&timeZone=&workflowId=", "?maxCreationTime=2026-11-01T00:00:00"]
)
def test_a_list_needs_a_workflow_or_a_time(amc: Caller, query: Any) -> None:
    answer = amc.ask("GET", f"/workflowExecutions{query}")
    assert (answer.status, answer.details) == (400, "Either workflowId or minCreationTime is required.")


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("minCreationTime=2026-11-01T06:00:00", 3),
        ("minCreationTime=2026-11-01T06:00:01", 2),
        ("minCreationTime=2026-11-01T06:01:01", 1),
        ("minCreationTime=2026-11-01T06:01:01&workflowId=", 1),
        ("minCreationTime=2026-11-01T06:00:00&maxCreationTime=2026-11-01T06:01:00", 2),
        ("minCreationTime=2026-11-01T07:01:01&timeZone=Europe/Berlin", 1),
        ("minCreationTime=2026-11-01T06:00:00&workflowId=other", 1),
        ("workflowId=other", 1),
        ("workflowId=nothing", 0),
    ],
)
def test_a_list_can_be_narrowed(amc: Caller, query: Any, count: int) -> None:
    amc.workflow("other")
    for name in ("reach", "reach", "other"):
        amc.execute(workflowId=name)
        amc.clock.turn(MINUTE)
    assert len(amc.ask("GET", f"/workflowExecutions?{query}").json["executions"]) == count


def test_a_time_that_is_none_is_refused(amc: Caller) -> None:
    answer = amc.ask("GET", "/workflowExecutions?minCreationTime=yesterday")
    assert answer.details.startswith("Invalid minCreationTime: 'yesterday'")


@pytest.mark.parametrize("order", ["", "&sortAscending=true"])
def test_a_page_goes_on_where_the_one_before_ended_whatever_came_in_between(amc: Caller, order: Any) -> None:
    made = [amc.execute() for _ in range(5)]
    seen, token = [], ""
    while True:
        page = amc.ask("GET", f"/workflowExecutions?workflowId=reach&limit=2{order}&nextToken={token}").json
        seen += [e["workflowExecutionId"] for e in page["executions"]]
        token = page.get("nextToken", "")
        if not token:
            break
        if len(seen) == 2 and not order:
            amc.execute()
    assert seen == (made if order else made[::-1])


def test_a_cancelled_execution_is_listed_when_it_is_asked_for(calling: Calling) -> None:
    amc = calling(running=MINUTE)
    amc.workflow()
    execution = amc.execute()
    assert amc.ask("PUT", f"/workflowExecutions/{execution}", {"status": "CANCELLED"}).json == {}
    assert amc.status(execution) == "CANCELLED"
    query = "/workflowExecutions?workflowId=reach"
    assert amc.ask("GET", query).json["executions"] == []
    assert len(amc.ask("GET", f"{query}&includeCancelled=true").json["executions"]) == 1
    amc.clock.turn(MINUTE)
    assert amc.status(execution) == "CANCELLED"


def test_an_execution_that_has_ended_cannot_be_cancelled(amc: Caller) -> None:
    execution = amc.execute()
    answer = amc.ask("PUT", f"/workflowExecutions/{execution}", {"status": "CANCELLED"})
    assert answer.status == 400
    assert answer.details == f"Execution with ID {execution} cannot be cancelled: it is SUCCEEDED."


def test_only_cancelling_changes_an_execution(amc: Caller) -> None:
    execution = amc.execute()
    assert amc.ask("PUT", f"/workflowExecutions/{execution}", {"workflowId": "other"}).json == {}
    assert amc.ask("PUT", f"/workflowExecutions/{execution}", {"status": "RUNNING"}).status == 400
    assert amc.execution(execution)["workflowId"] == "reach"


def test_a_deleted_execution_is_gone(amc: Caller) -> None:
    execution = amc.execute()
    assert amc.ask("DELETE", f"/workflowExecutions/{execution}").json == {}
    answer = amc.ask("GET", f"/workflowExecutions/{execution}")
    assert (answer.status, answer.json["code"]) == (404, "404")


def test_an_execution_of_another_instance_is_not_found(calling: Calling) -> None:
    instances = tuple(
        SandboxInstance(instance_id=name, entity_id="E", marketplace_id="M", name=name)
        for name in ("one", "two")
    )
    amc = calling(instances=instances)
    amc.workflow()
    execution = amc.execute()
    assert amc.ask("GET", f"/amc/reporting/two/workflowExecutions/{execution}").status == 404
    assert amc.ask("GET", "/amc/reporting/two/workflows").json["workflows"] == []


def test_execution_time_is_how_long_it_ran(calling: Calling) -> None:
    amc = calling(pending=MINUTE, running=20 * SECOND)
    amc.workflow()
    execution = amc.execute()
    amc.clock.turn(10 * MINUTE)
    ended = amc.execution(execution)
    assert ended["executionTime"] == 20
    assert ended["validatedTime"] == "2026-11-01T06:01:00Z"
    assert ended["lastUpdatedTime"] == "2026-11-01T06:01:20Z"


def test_what_the_sandbox_knows_outlives_the_process(calling: Calling) -> None:
    first = calling(running=MINUTE)
    first.workflow()
    execution = first.execute()
    assert first.status(execution) == "RUNNING"
    first.clock.turn(MINUTE)
    second = calling(running=MINUTE)
    assert second.status(execution) == "SUCCEEDED"
    assert second.download(execution) == "a\n1\n"


@pytest.mark.parametrize(
    ("kind", "flag", "status"),
    [("SANDBOX", None, "REJECTED"), ("SANDBOX", False, "REJECTED"), ("SANDBOX", "true", "SUCCEEDED"),
     ("SANDBOX", True, "SUCCEEDED"), ("STANDARD", None, "SUCCEEDED"), ("STANDARD", True, "SUCCEEDED")],
)  # fmt: skip
def test_a_sandbox_instance_takes_everything_and_compiles_only_what_requires_synthetic_data(
    calling: Calling, kind: str, flag: Any, status: str
) -> None:
    about = {"instance_id": "amc1", "entity_id": "E", "marketplace_id": "M", "name": "one"}
    amc = calling(instances=(SandboxInstance(**about, instance_type=kind),))
    amc.workflow()
    execution = amc.execution(amc.execute(requireSyntheticData=flag))
    assert execution["status"] == status
    if status == "REJECTED":
        assert execution["statusReason"].startswith("Was unable to compile workflow reach because")
        assert "requireSyntheticData" in execution["statusReason"]
