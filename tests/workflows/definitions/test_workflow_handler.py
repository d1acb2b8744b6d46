from __future__ import annotations

import itertools
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from amci.kernel.config import parsed
from amci.kernel.run import NewRun, Run, RunStatus
from amci.kernel.worker import Worker
from amci.tenants.model import Tenant
from amci.workflows.amc.model import ExecutionRequest, TimeWindow, WindowType
from amci.workflows.definitions.definition import Workflow, amc_definition
from amci.workflows.definitions.deployed_workflows import current_runs, overview
from amci.workflows.definitions.difference import diff
from amci.workflows.definitions.run_factory import Action, workflow_run
from amci.workflows.definitions.workflow_handler import WorkflowHandler
from amci.workflows.executions.run_factory import execute_run, request_document, request_from

from ..conftest import Desk

SQL = "SELECT campaign, SUM(impressions) AS n FROM dsp_impressions GROUP BY 1"
AT = datetime(2026, 11, 1, 6, tzinfo=UTC)
ACME = Tenant(tenant="acme", instance_id="amcacme")


def workflow(workflow_id: str = "reach", **fields: Any) -> Workflow:
    return parsed(Workflow, {"workflow_id": workflow_id, "sql": SQL, **fields}, "w")


class Bench:
    """The handler on a desk, and the verbs of these tests."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._again = map(str, itertools.count(1))

    def do(self, action: Action, about: Workflow | str, tenant: str = "acme") -> Run:
        """One run from its creation to its end."""
        of = self.desk.tenants.get(tenant, Tenant(tenant=tenant))
        return self.finished(workflow_run(action, of, about, again=next(self._again)))

    def finished(self, new: NewRun) -> Run:
        self.desk.runs.create([new])
        handler = WorkflowHandler(self.desk.workflows, self.desk.tenants, self.desk.connections.client)
        lease = timedelta(minutes=5)
        worker = Worker(
            self.desk.runs, [handler], self.desk.clock, name="w", lease=lease, on_finished=lambda *_: None
        )
        worker.drain(threading.Event(), timedelta(hours=1))
        return next(r for r in self.desk.runs.list(limit=-1) if r.idempotency_key == new.idempotency_key)

    def define(self, *workflows: Workflow) -> None:
        self.desk.workflows |= {w.workflow_id: w for w in workflows}

    def remote(self, workflow_id: str = "sales") -> Any:
        return self.desk.client().workflow(workflow_id)


@pytest.fixture
def bench(desk: Desk) -> Bench:
    return Bench(desk)


def test_a_workflow_is_created_updated_and_deleted_with_amcs_statuses(bench: Bench) -> None:
    sales = workflow("sales", version=2)
    bench.define(sales)
    created = bench.do(Action.CREATE, sales)
    assert created.status is RunStatus.SUCCEEDED
    assert created.result
    assert {name: created.result[name] for name in ("responseStatus", "workflow_id", "version")} == {
        "responseStatus": "CREATED",
        "workflow_id": "sales",
        "version": 2,
    }
    assert bench.remote() == amc_definition(sales, ACME)

    changed = workflow("sales", sql=f"{SQL} -- by campaign")
    bench.define(changed)
    assert (bench.do(Action.CREATE, changed).result or {})["responseStatus"] == "UPDATED"
    assert (bench.do(Action.UPDATE, changed).result or {})["sql_hash"] == created.result["sql_hash"]
    assert bench.remote()["sqlQuery"] == SQL

    assert bench.do(Action.DELETE, "sales").result == {"responseStatus": "DELETED", "workflow_id": "sales"}
    assert bench.remote() is None
    again = bench.do(Action.DELETE, "sales")
    assert (again.status, again.reason) == (RunStatus.SKIPPED, "AMC has no such workflow")


def test_amcs_refusal_is_the_reason_of_the_failed_run(bench: Bench) -> None:
    bench.define(workflow("sales", sql="SELECT SUM(x) FROM no_such_table"))
    failed = bench.do(Action.CREATE, "sales")
    assert failed.status is RunStatus.FAILED
    assert "Was unable to compile workflow sales" in str(failed.reason)
    assert "no_such_table" in str(failed.reason)
    assert failed.attempts == 1


def test_an_update_of_what_amc_does_not_have_says_how_to_create_it(bench: Bench) -> None:
    bench.define(workflow("sales"))
    failed = bench.do(Action.UPDATE, "sales")
    assert failed.status is RunStatus.FAILED
    assert "AMC has no workflow sales" in str(failed.reason)
    assert "amci workflow create sales" in str(failed.reason)


@pytest.mark.parametrize(
    ("action", "about", "tenant", "says"),
    [
        (Action.CREATE, "sales", "acme", "no workflow 'sales' in config/workflows"),
        (Action.CREATE, "reach", "nobody", "no tenant 'nobody'"),
        (Action.DELETE, "reach", "files_only", "tenant files_only has no AMC instance"),
    ],
)
def test_what_config_no_longer_has_fails_in_words(
    bench: Bench, action: Action, about: str, tenant: str, says: str
) -> None:
    bench.desk.tenants["files_only"] = Tenant(tenant="files_only")
    failed = bench.do(action, about, tenant)
    assert failed.status is RunStatus.FAILED
    assert says in str(failed.reason)


@pytest.mark.parametrize("kind", ["no_answer_after", "no_connection", "throttle", "error"])
@pytest.mark.parametrize("action", [Action.CREATE, Action.DELETE])
def test_a_fault_on_the_way_does_no_harm(bench: Bench, kind: str, action: Action) -> None:
    sales = workflow("sales")
    bench.define(sales)
    if action is Action.DELETE:
        bench.do(Action.CREATE, sales)
    bench.desk.fault(
        kind, path="*/workflows*", times=2, method="POST" if action is Action.CREATE else "DELETE"
    )
    ended = bench.do(action, sales)
    # A deletion whose answer was lost finds nothing the second time.
    assert ended.status in (RunStatus.SUCCEEDED, RunStatus.SKIPPED)
    assert (bench.remote() is None) is (action is Action.DELETE)


def test_one_definition_is_brought_once_unless_asked_again(bench: Bench) -> None:
    sales = workflow("sales", input_parameters=[{"name": "days", "data_type": "LONG", "default_value": 1}])
    first = workflow_run(Action.CREATE, ACME, sales)
    assert workflow_run(Action.CREATE, ACME, sales) == first
    laid_out = sales.model_copy(update={"sql": f"-- by campaign\n {SQL} ;"})
    assert workflow_run(Action.CREATE, ACME, laid_out) == first
    others = [
        workflow_run(Action.CREATE, ACME, sales, again="2026"),
        workflow_run(Action.UPDATE, ACME, sales),
        workflow_run(Action.CREATE, ACME, workflow("sales")),
        workflow_run(Action.CREATE, ACME.model_copy(update={"instance_id": "amcnew"}), sales),
        workflow_run(Action.CREATE, ACME.model_copy(update={"values": {"days": 2}}), sales),
        workflow_run(Action.CREATE, Tenant(tenant="bolt", instance_id="amcacme"), sales),
        workflow_run(Action.DELETE, ACME, "sales"),
    ]
    assert len({run.idempotency_key for run in (first, *others)}) == 8
    assert bench.desk.runs.create([first, first]) == 1


def test_an_overview_says_who_has_a_workflow_and_who_has_an_older_one(bench: Bench) -> None:
    sales, gone = workflow("sales", tenants=["acme"]), workflow("gone")
    bench.define(sales, gone)
    bench.desk.tenants["files_only"] = Tenant(tenant="files_only")
    for tenant in ("acme", "bolt"):
        bench.do(Action.CREATE, sales, tenant)
    bench.do(Action.CREATE, gone)
    bench.do(Action.DELETE, gone)
    bench.do(Action.CREATE, "reach")
    bench.define(workflow("sales", tenants=["acme"], sql=f"{SQL} HAVING SUM(impressions) > 1"))
    bench.do(Action.CREATE, "sales")
    del bench.desk.workflows["reach"]

    stands = current_runs(bench.desk.runs.list(kind="workflow", limit=-1))
    rows = {r["workflow_id"]: r for r in overview(bench.desk.workflows, bench.desk.tenants, stands)}
    shown = {name: (r["in_config"], r["for"], r["in_amc"], r["outdated"]) for name, r in rows.items()}
    assert shown == {
        "gone": (True, ["acme", "bolt"], [], []),
        "reach": (False, [], ["acme"], []),
        "sales": (True, ["acme"], ["acme", "bolt"], ["bolt"]),
    }


@pytest.mark.parametrize(
    ("ours", "remote", "lines"),
    [
        ({}, {}, []),
        ({"sql": "SELECT 1 -- one\n;"}, {"sqlQuery": "SELECT   1"}, []),
        ({"privacy_filtering_behavior": "REMOVE_ROWS"}, {}, []),
        (
            {},
            {"privacyFilteringBehavior": "REMOVE_ROWS", "inputSchema": "", "query": "x", "createdTime": "y"},
            [],
        ),
        ({"filtered_reason_column": "why"}, {}, ['filteredReasonColumn: "why" here, nothing in AMC']),
        ({}, {"inputSchema": "sandbox"}, ['inputSchema: nothing here, "sandbox" in AMC']),
        ({"more": {"query": "a"}}, {"query": "b"}, ['query: "a" here, "b" in AMC']),
        (
            {"sql": "SELECT 1\n\nFROM t"},
            {"sqlQuery": "SELECT 2\nFROM t"},
            [
                "--- sqlQuery in AMC",
                "+++ sqlQuery here",
                "@@ -1,2 +1,2 @@",
                "-SELECT 2",
                "+SELECT 1",
                " FROM t",
            ],
        ),
        ({"sql": "SELECT 'a  b'"}, {"sqlQuery": "SELECT 'a b"}, ["-SELECT 'a b", "+SELECT 'a  b'"]),
        (
            {
                "input_parameters": [
                    {"name": "a", "data_type": {"type": "ARRAY", "elementDataType": "STRING"}}
                ]
            },
            {
                "inputParameters": [
                    {
                        "name": "a",
                        "dataType": {"type": "ARRAY", "elementDataType": "STRING", "elementNullable": False},
                        "description": None,
                    }
                ]
            },
            [],
        ),
        (
            {
                "input_parameters": [
                    {"name": "b", "data_type": "LONG", "default_value": 0},
                    {"name": "a", "data_type": "LONG"},
                ]
            },
            {
                "inputParameters": [
                    {"name": "c", "dataType": "LONG"},
                    {"name": "b", "dataType": "STRING", "columnType": "METRIC"},
                ]
            },
            [
                "inputParameters.a: here only",
                'inputParameters.b.columnType: "DIMENSION" here, "METRIC" in AMC',
                'inputParameters.b.dataType: "LONG" here, "STRING" in AMC',
                "inputParameters.b.defaultValue: 0 here, nothing in AMC",
                "inputParameters.c: in AMC only",
            ],
        ),
    ],
)
def test_a_difference_is_said_field_by_field_and_amcs_ways_are_none(
    ours: dict[str, Any], remote: dict[str, Any], lines: list[str]
) -> None:
    definition = amc_definition(workflow(**ours), ACME)
    found = diff(definition, {"workflowId": "reach", "sqlQuery": SQL} | remote)
    assert [line for line in found if line in lines] == lines
    assert bool(found) is bool(lines)


def test_a_request_comes_back_from_the_run_store_as_it_went_in(bench: Bench) -> None:
    request = ExecutionRequest(
        workflow_id="reach",
        sql_query=SQL,
        definition={"inputSchema": "x"},
        window=TimeWindow(
            type=WindowType.EXPLICIT, start="TODAY(-1)", end="TODAY()", time_zone="Asia/Kolkata"
        ),
        parameter_values={"a": [1, "b"], "since": "TODAY(-7)"},
        dry_run=True,
        ignore_data_gaps=False,
        timeout_seconds=900,
        more={"advertisers": [{"id": "1"}]},
    )
    for asked in (request, ExecutionRequest(workflow_id="reach")):
        assert request_from(request_document(asked)) == asked
        new = execute_run(ACME, asked, key=f"k{asked.dry_run}", at=AT, schedule="daily", correlation_id="c")
        bench.desk.runs.create([new])
        run = bench.desk.runs.list(kind="execute", limit=1)[0]
        assert request_from(run.payload["request"]) == asked
        assert (run.pool, run.batch_key, run.tenant_id, run.correlation_id) == (
            ACME.pool,
            "acme",
            "acme",
            "c",
        )
        assert (run.payload["schedule"], run.payload["at"]) == ("daily", "2026-11-01T06:00:00.000000Z")
