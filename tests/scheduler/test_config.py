from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from amci.kernel.config import parsed, read_document
from amci.kernel.errors import ConfigError
from amci.scheduler.config import ScheduleFile
from amci.scheduler.model import CatchUp, Overlap

WEEKLY = {"schedule": "weekly", "expression": "cron(0 9 ? * MON *)", "workflow": "reach", "tenants": ["acme"]}
UPKEEP = {"schedule": "nightly", "expression": "0 3 * * *", "run": "expire"}
REQUEST = {
    "workflowId": "reach",
    "timeWindowType": "EXPLICIT",
    "timeWindowStart": "TODAY(-8)",
    "timeWindowEnd": "TODAY(-1)",
    "timeWindowTimeZone": "America/New_York",
    "parameterValues": {"since": "TODAY(-30)"},
    "ignoreDataGaps": "True",
}
RULE = {
    "execution_request": {
        "customerId": "acme",
        "requestType": "createExecution",
        "createExecutionRequest": REQUEST,
    },
    "schedule_expression": "cron(0/15 * * * ? *)",
    "rule_name": "weekly-reach",
    "rule_description": "every quarter of an hour",
}
FORK = {
    "Name": "weekly-reach",
    "ScheduleExpression": "custom(W 0 5)",
    "State": "DISABLED",
    "Description": "",
    "EventBusName": "default",
    "runBy": "",
    "Input": {"customerId": ["acme", "globex"], "payload": REQUEST},
}


def read(document: dict[str, Any]) -> ScheduleFile:
    return parsed(ScheduleFile, document, "s.yaml")


def problems(document: dict[str, Any]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(document)
    return [str(problem).removeprefix("s.yaml: ") for problem in caught.value.problems]


def test_a_short_file_has_sensible_defaults() -> None:
    file = read(WEEKLY)
    assert (file.time_zone, file.catch_up, file.overlap, file.enabled) == (
        "UTC",
        CatchUp.LAST,
        Overlap.QUEUE,
        True,
    )
    assert (file.window.type, file.jitter, file.start_at, file.end_at) == (
        "MOST_RECENT_DAY",
        timedelta(0),
        None,
        None,
    )


def test_a_file_is_read_from_yaml_as_people_write_it(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(
        "schedule: nightly\nexpression: 0 3 * * *\ntime_zone: Europe/Berlin\nrun: expire\n"
        "with: {older_than: 30d}\nstart: 2026-11-01\nend: 2026-12-01T00:00:00Z\njitter: 5m\n"
        "catch_up: none\noverlap: skip\n"
    )
    file = read(read_document(path, "s.yaml"))
    assert (file.run, file.with_) == ("expire", {"older_than": "30d"})
    assert file.start_at == datetime(2026, 10, 31, 23, tzinfo=UTC)
    assert file.end_at == datetime(2026, 12, 1, tzinfo=UTC)
    assert (file.jitter, file.catch_up, file.overlap) == (
        timedelta(minutes=5),
        CatchUp.NONE,
        Overlap.SKIP,
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"expression": "cron(61 * * * ? *)"}, "expression: minute: '61' should be from 0 to 59"),
        ({"expression": "cron(38 * * * *)"}, "expression: cron(…) has 5 fields instead of six"),
        ({"time_zone": "Europe/Berln"}, "time_zone: there is no time zone 'Europe/Berln' (did you mean"),
        ({"schedule": "a/b"}, "schedule: should be a folder name"),
        ({"schedule": "adhoc"}, "schedule: 'adhoc' stands for executions without a schedule"),
        ({"schedule_folder": "a/b"}, "schedule_folder: should be a folder name"),
        ({"schedule_folder": ".."}, "schedule_folder: should be a folder name"),
        ({"schedule_folder": "x" * 201}, "schedule_folder: should be a folder name"),
        ({"run": "compact"}, "name a workflow or a run, one of the two"),
        ({"workflow": ""}, "name a workflow or a run, one of the two"),
        ({"tenants": []}, "a workflow is executed for somebody: give tenants, tags or all_tenants: true"),
        ({"with": {"older_than": "1d"}}, "with: goes with run, not with workflow"),
        ({"start": "2026-11-02", "end": "2026-11-02"}, "end: should be later than start"),
        ({"start": 2026}, "start: should be a date or a date and time"),
        ({"jitter": "-5m"}, "jitter: should be a duration"),
        ({"jitter": -5}, "jitter: should not be negative"),
        ({"window": {"type": "EXPLICIT", "start": "TODAY(-7)"}}, "window: start and end go with type EXPLICIT"),
        ({"window": {"start": "TODAY(-7)", "end": "TODAY()"}}, "window: start and end go with type EXPLICIT"),
        ({"window": {"time_zone": "Mars"}}, "window.time_zone: there is no time zone 'Mars'"),
        ({"definition": {"title": "x"}}, "definition: should have a sqlQuery"),
        ({"expression": "cron(0 0 30 2 ? *)"}, "expression: cron(0 0 30 2 ? *) never comes in UTC"),
        (
            {"expression": "at(2027-03-28T02:30:00)", "time_zone": "Europe/Berlin"},
            "expression: at(2027-03-28T02:30:00) never comes in Europe/Berlin",
        ),
        ({"expresion": "x"}, "expresion: unknown key (did you mean 'expression'?)"),
        ({"catch_up": "some"}, "catch_up: input should be 'none', 'last' or 'all'"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_field(change: dict[str, Any], says: str) -> None:
    (found,) = problems(WEEKLY | change)
    assert found.startswith(says)


def test_several_mistakes_are_all_named() -> None:
    found = problems(WEEKLY | {"expression": "x", "time_zone": "y", "z": 1, "jitter": "w"})
    assert [text.partition(":")[0] for text in found] == ["expression", "time_zone", "jitter", "z"]


@pytest.mark.parametrize("field", ["window", "parameters", "values", "definition", "more", "schedule_folder"])
def test_upkeep_takes_nothing_that_is_for_executions(field: str) -> None:
    value = {
        "window": {"type": "ALL"}, "values": {"acme": {"a": 1}}, "definition": {"sqlQuery": "SELECT 1"},
        "schedule_folder": "adhoc",
    }.get(field, {"a": 1})  # fmt: skip
    assert problems(UPKEEP | {field: value}) == [f"{field}: only with a workflow"]


def test_upkeep_is_one_of_the_kinds_there_are() -> None:
    (found,) = problems(UPKEEP | {"run": "execute"})
    kinds = "'compact', 'contents', 'expire', 'export', 'maintenance', 'reconcile', 'repair', 'reprocess', 'rewrite'"
    assert found == f"run: input should be {kinds} or 'vacuum'"


def test_a_rule_of_the_aws_solution_is_taken_as_it_is() -> None:
    assert read(RULE).model_dump(exclude_defaults=True, exclude_unset=True) == {
        "schedule": "weekly-reach",
        "description": "every quarter of an hour",
        "expression": "cron(0/15 * * * ? *)",
        "workflow": "reach",
        "tenants": ("acme",),
        "window": {"type": "EXPLICIT", "start": "TODAY(-8)", "end": "TODAY(-1)", "time_zone": "America/New_York"},
        "parameters": {"since": "TODAY(-30)"},
        "more": {"ignoreDataGaps": "True"},
    }  # fmt: skip


@pytest.mark.parametrize("as_text", [False, True])
def test_a_schedule_of_the_older_fork_is_taken_as_it_is(as_text: bool) -> None:
    file = read(FORK | ({"Input": json.dumps(FORK["Input"])} if as_text else {}))
    assert (file.schedule, file.expression, file.enabled) == ("weekly-reach", "custom(W 0 5)", False)
    assert (file.workflow, file.tenants) == ("reach", ("acme", "globex"))
    assert file.more == {"ignoreDataGaps": "True"}


def test_an_ad_hoc_workflow_keeps_its_sql() -> None:
    request = {
        "customerId": "acme",
        "createExecutionRequest": {"workflow": {"workflowId": "x", "sqlQuery": "SELECT 1"}},
    }
    file = read(RULE | {"execution_request": request})
    assert (file.workflow, file.definition) == ("x", {"sqlQuery": "SELECT 1"})


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (RULE | {"schedule": "twice"}, "one setting stands twice, in two spellings"),
        (RULE | {"execution_request": "{"}, "execution_request: is not JSON"),
        (RULE | {"execution_request": []}, "execution_request: should be a mapping"),
        (
            RULE | {"execution_request": {"customerId": "acme", "requestType": "cancelExecution"}},
            "execution_request.requestType: a schedule can only createExecution, not cancelExecution",
        ),
        (RULE | {"execution_request": {"customerid": "acme"}}, "execution_request: unknown key customerid"),
        (FORK | {"Input": {"Payload": {}}}, "Input: unknown key Payload"),
        (FORK | {"State": "ON"}, "State: should be ENABLED or DISABLED"),
        (FORK | {"runBy": "campaign"}, "runBy: schedules by campaign are not supported"),
        (FORK | {"EventBusName": "mine"}, "EventBusName: there is no event bus here; leave it out"),
        (FORK | {"Nmae": "x"}, "Nmae: unknown key"),
    ],
)  # fmt: skip
def test_what_cannot_be_carried_over_is_said(document: dict[str, Any], says: str) -> None:
    assert any(found.startswith(says) for found in problems(document))
