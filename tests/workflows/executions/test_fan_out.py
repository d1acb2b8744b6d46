from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from amci.app.aws_import.execution_request import execution_request_from
from amci.kernel.errors import NotFound, UsageError
from amci.kernel.run import RunStatus
from amci.tenants.model import Tenant
from amci.workflows.amc.model import ExecutionRequest, TimeWindow, WindowType
from amci.workflows.definitions.time_windows import sliding
from amci.workflows.executions.fan_out import backfill, for_each, lagged, resubmittable
from amci.workflows.executions.request_parsing import assignments, chosen, window_from

from ..conftest import Desk

AT = datetime(2026, 11, 1, 6, 20, tzinfo=UTC)
ACME = Tenant(tenant="acme", instance_id="amcacme")
BOLT = Tenant(tenant="bolt", instance_id="amcbolt")
REACH = ExecutionRequest(workflow_id="reach")
COMMON: dict[str, Any] = {"at": AT, "schedule": "adhoc"}


def weeks() -> Any:
    return sliding("2026-01-01", "2026-02-01", "7d", "7d", "UTC")


def windows_of(runs: Any) -> list[tuple[str, str]]:
    return [
        (run.payload["request"]["window"]["start"], run.payload["request"]["window"]["end"]) for run in runs
    ]


def test_a_backfill_is_one_run_for_each_tenant_and_window() -> None:
    runs = backfill([ACME, BOLT], REACH, weeks(), **COMMON).runs
    assert len(runs) == 8
    assert windows_of(runs)[0] == ("2026-01-01T00:00:00", "2026-01-08T00:00:00")
    assert {run.pool for run in runs} == {"amc:amcacme", "amc:amcbolt"}


def test_the_same_backfill_asks_for_nothing_twice() -> None:
    first, later = (
        {run.idempotency_key for run in backfill([ACME], REACH, weeks(), at=at, schedule="adhoc").runs}
        for at in (AT, AT + timedelta(days=9))
    )
    assert first == later
    wider = sliding("2026-01-01", "2026-02-15", "7d", "7d", "UTC")
    assert first < {run.idempotency_key for run in backfill([ACME], REACH, wider, **COMMON).runs}


@pytest.mark.parametrize(
    "other",
    [
        {"again": "once more"},
        {"schedule": "monthly"},
    ],
)
def test_another_purpose_makes_other_runs(other: dict[str, Any]) -> None:
    first, second = (
        {run.idempotency_key for run in backfill([ACME], REACH, weeks(), **(COMMON | more)).runs}
        for more in ({}, other)
    )
    assert first.isdisjoint(second)


def test_more_executions_than_the_cap_have_to_be_wanted() -> None:
    with pytest.raises(UsageError, match="that makes 8 executions, and at most 7") as caught:
        backfill([ACME, BOLT], REACH, weeks(), cap=7, **COMMON)
    assert "--cap 8" in caught.value.hint
    assert len(backfill([ACME, BOLT], REACH, weeks(), cap=8, **COMMON).runs) == 8


def test_each_row_gives_its_values_to_parameters_and_window() -> None:
    request = ExecutionRequest(
        workflow_id="reach",
        parameter_values={"campaign_id": ":campaign_id", "share": ":share", "kind": "video"},
        window=TimeWindow(type=WindowType.EXPLICIT, start=":began", end=":ended"),
    )
    rows = [
        {
            "campaign_id": 17,
            "share": Decimal("0.5"),
            "began": date(2026, 9, 1),
            "ended": datetime(2026, 9, 8, 12, 30),  # noqa: DTZ001 - as DuckDB gives a TIMESTAMP
        },
        {"campaign_id": 18, "share": Decimal(1), "began": "TODAY(-9)", "ended": "TODAY(-2)"},
    ]
    runs = for_each([ACME], request, rows, **COMMON).runs
    values = [run.payload["request"]["parameter_values"] for run in runs]
    assert values == [
        {"campaign_id": 17, "share": 0.5, "kind": "video"},
        {"campaign_id": 18, "share": 1, "kind": "video"},
    ]
    assert windows_of(runs) == [("2026-09-01", "2026-09-08T12:30:00"), ("TODAY(-9)", "TODAY(-2)")]


def test_values_of_rows_are_bound_and_never_read_as_anything_else() -> None:
    request = ExecutionRequest(workflow_id="reach", parameter_values={"name": ":name"})
    nasty = "x' OR 1=1; -- :other"
    [run] = for_each([ACME], request, [{"name": nasty, "other": 1}], **COMMON).runs
    assert run.payload["request"]["parameter_values"] == {"name": nasty}


def test_equal_rows_make_one_run() -> None:
    request = ExecutionRequest(workflow_id="reach", parameter_values={"id": ":id"})
    assert len(for_each([ACME], request, [{"id": 1}, {"id": 1}, {"id": 2}], **COMMON).runs) == 2


@pytest.mark.parametrize(
    ("row", "says"), [({"other": 1}, "no column 'id'"), ({"id": None}, "row 1 has no value in column 'id'")]
)
def test_a_row_without_the_value_is_refused(row: dict[str, Any], says: str) -> None:
    request = ExecutionRequest(workflow_id="reach", parameter_values={"id": ":id"})
    with pytest.raises(UsageError, match=says):
        for_each([ACME], request, [row], **COMMON)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("2026-09-01T10:29:59", "2026-09-08T10:30:00", ("2026-09-01T10:00:00", "2026-09-22T11:00:00")),
        # AMC's data are complete two days after the event: on the 30th, 06:00.
        ("2026-10-01", "2026-10-25", ("2026-10-01T00:00:00", "2026-10-30T06:00:00")),
    ],
)
def test_an_attribution_lag_moves_the_end_as_far_as_data_are_complete(
    start: str, end: str, expected: tuple[str, str]
) -> None:
    window = lagged(TimeWindow(type=WindowType.EXPLICIT, start=start, end=end), timedelta(days=14), AT)
    assert (window.start, window.end) == expected


def test_a_row_whose_data_are_not_complete_is_left_out_and_said() -> None:
    request = ExecutionRequest(
        workflow_id="reach", window=TimeWindow(type=WindowType.EXPLICIT, start=":day", end="2026-11-02")
    )
    rows = [{"day": "2026-10-31"}, {"day": "2026-10-01"}]
    plan = for_each([ACME], request, rows, lag=timedelta(days=1), **COMMON)
    assert len(plan.runs) == 1
    assert plan.left_out == ["row 1: AMC has no complete data of its window yet"]


# ---- what failed


def failed(desk: Desk, count: int = 1, **asked: Any) -> list[int]:
    desk.words = {b'"status":"SUCCEEDED"': b'"status":"FAILED","statusReason":"too few users"'}
    ids = [desk.ask(**asked) for _ in range(count)]
    desk.finish()
    desk.words = {}
    return ids


def again(desk: Desk, **since: float) -> list[int | None]:
    began = desk.clock.now() - timedelta(**(since or {"hours": 72}))
    return [row.run_id for row in resubmittable(desk.executions, desk.runs, began)]


def test_what_failed_can_be_run_again_and_equal_ones_only_once(desk: Desk) -> None:
    first, second = failed(desk, 2)
    assert again(desk) == [second]
    assert first != second


def test_what_an_equal_request_has_brought_or_will_bring_is_not_run_again(desk: Desk) -> None:
    failed(desk)
    equal = desk.ask()
    desk.work()
    assert again(desk) == []
    desk.finish()
    assert desk.run(equal).status is RunStatus.SUCCEEDED
    assert again(desk) == []


def test_another_window_or_sql_is_no_equal_request(desk: Desk) -> None:
    [first] = failed(desk)
    desk.ask(window=TimeWindow())
    desk.finish()
    assert again(desk) == [first]


def test_equal_ad_hoc_sql_is_an_equal_request(desk: Desk) -> None:
    sql = "SELECT advertiser, SUM(impressions) AS n FROM dsp_impressions GROUP BY 1"
    _, second = failed(desk, 2, workflow_id="look", sql_query=sql)
    assert again(desk) == [second]


def test_what_failed_long_ago_stays(desk: Desk) -> None:
    failed(desk)
    desk.turn(hours=80)
    assert again(desk) == []


# ---- what people write


def test_a_request_document_of_the_aws_solution_is_taken() -> None:
    asked = execution_request_from(
        {
            "customerId": ["acme", "bolt"],
            "requestType": "createExecution",
            "createExecutionRequest": {
                "workflow": {"workflowId": "look", "sqlQuery": "SELECT 1", "filteredReasonColumn": "why"},
                "workflowId": "reach",
                "timeWindowType": "EXPLICIT",
                "timeWindowStart": "FIRSTDAYOFOFFSETMONTH(-1)",
                "timeWindowEnd": "TODAY(-2)",
                "timeWindowTimeZone": "America/New_York",
                "parameterValues": {"n": 1},
                "ignoreDataGaps": "True",
                "requireSyntheticData": False,
                "workflowExecutionTimeoutSeconds": "86400",
                "workflow_executed_date": "now()",
            },
        }
    )
    assert asked.tenants == ["acme", "bolt"]
    assert asked.request == ExecutionRequest(
        workflow_id="look",
        sql_query="SELECT 1",
        definition={"filteredReasonColumn": "why"},
        window=TimeWindow(
            type=WindowType.EXPLICIT,
            start="FIRSTDAYOFOFFSETMONTH(-1)",
            end="TODAY(-2)",
            time_zone="America/New_York",
        ),
        parameter_values={"n": 1},
        ignore_data_gaps=True,
        timeout_seconds=86400,
        more={"workflow_executed_date": "now()"},
    )


@pytest.mark.parametrize("kind", ["cancelExecution", "getExecutionStatus"])
def test_cancelling_and_asking_need_no_workflow(kind: str) -> None:
    asked = execution_request_from({"customerId": "acme", "requestType": kind, "workflowExecutionId": "e-1"})
    assert (asked.kind, asked.tenants, asked.workflow_execution_id) == (kind, ["acme"], "e-1")


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (
            {"customerId": "acme", "createExecutionRequest": {}},
            "workflowId and customerId are required in execution request",
        ),
        (
            {"createExecutionRequest": {"workflowId": "reach"}},
            "workflowId and customerId are required in execution request",
        ),
        ({"customerId": "acme", "requestType": "cancelExecution"}, "workflowExecutionId and customerId"),
        ({"customerId": "acme", "requestType": "dance"}, "no requestType 'dance'"),
        (
            {"customerId": "a", "createExecutionRequest": {"workflowId": "r", "ignoreDataGaps": "maybe"}},
            "'maybe' is not a value of ignore_data_gaps",
        ),
    ],
)
def test_a_document_that_lacks_something_says_what(document: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        execution_request_from(document)


def test_windows_are_written_as_a_type_or_from_start_to_end() -> None:
    default = TimeWindow(type=WindowType.PREVIOUS_MONTH, time_zone="Europe/Berlin")
    assert window_from(None, None, default) == default
    assert window_from("most_recent_week", "UTC", default) == TimeWindow(type=WindowType.MOST_RECENT_WEEK)
    assert window_from("TODAY(-8) .. TODAY(-1)", None, default) == TimeWindow(
        type=WindowType.EXPLICIT, start="TODAY(-8)", end="TODAY(-1)", time_zone="Europe/Berlin"
    )
    with pytest.raises(UsageError, match="'yesterday' is not a time window"):
        window_from("yesterday", None, default)


def test_parameters_without_a_declaration_are_read_as_json() -> None:
    pairs = ["n=7", "on=true", 'ids=["a","b"]', "name=007", "text=a=b"]
    assert assignments(pairs, is_typed=False) == {
        "n": 7, "on": True, "ids": ["a", "b"], "name": "007", "text": "a=b",
    }  # fmt: skip
    assert assignments(["n=7"], is_typed=True) == {"n": "7"}
    with pytest.raises(UsageError, match="gives no parameter a value"):
        assignments(["n"], is_typed=True)


def test_tenants_are_named_or_the_only_one() -> None:
    files_only = Tenant(tenant="files")
    assert chosen({"acme": ACME, "files": files_only}, []) == [ACME]
    assert chosen({"acme": ACME, "bolt": BOLT}, ["bolt", "acme", "bolt"]) == [BOLT, ACME]
    assert chosen({"acme": ACME, "bolt": BOLT, "files": files_only}, [], is_all=True) == [ACME, BOLT]
    with pytest.raises(UsageError, match="for which tenant"):
        chosen({"acme": ACME, "bolt": BOLT}, [])
    with pytest.raises(NotFound) as caught:
        chosen({"acme": ACME}, ["acmee"])
    assert "did you mean 'acme'?" in caught.value.hint
