from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from amci.app.aws_import.files import DocumentKind, kind_of, read_documents
from amci.cli.aws_import import import_app
from amci.cli.tenant import tenant_app
from amci.kernel.environment import environment
from amci.kernel.errors import ConfigError
from amci.kernel.testing import FakeClock
from amci.kernel.workspace import WorkspacePaths
from amci.tenants.credentials import CredentialStore

CUSTOMER: dict[str, Any] = {
    "customer_details": {
        "customer_id": "acme",
        "customer_name": "Acme Outdoor",
        "bucket_region": "us-east-1",
        "amc": {
            "instance_id": "amcacme1",
            "amazon_ads_advertiser_id": "ENTITY1",
            "amazon_ads_marketplace_id": "ATVPDKIKX0DER",
            "bucket_name": "amc-acme",
        },
    }
}
WORKFLOW: dict[str, Any] = {
    "customerId": "acme",
    "workflowRequest": {
        "requestType": "createWorkflow",
        "workflowDefinition": {
            "workflowId": "reach",
            "sqlQuery": "SELECT campaign, COUNT(DISTINCT user_id) AS users FROM dsp_impressions GROUP BY 1",
            "filteredReasonColumn": "why",
        },
    },
}
SCHEDULE: dict[str, Any] = {
    "execution_request": {
        "customerId": "acme",
        "requestType": "createExecution",
        "createExecutionRequest": {"workflowId": "reach", "timeWindowType": "MOST_RECENT_WEEK"},
    },
    "schedule_expression": "cron(0 9 ? * MON *)",
    "rule_name": "weekly-reach",
}
SECRET = {"client_id": "amzn1.client", "client_secret": "planted-secret", "refresh_token": "Atzr|planted"}


class Terminal:
    """The command in one workspace, and files to give it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        (home / "amci.yaml").write_text("notify: []\n", encoding="utf-8")

    def file(self, name: str, document: Any) -> str:
        path = self.home / name
        path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
        return str(path)

    def json(self, *words: str, app: Any = import_app) -> tuple[Any, str]:
        """What the command prints with --json, and its notes; raises what it raises."""
        result = CliRunner().invoke(app, [*words, "--home", str(self.home), "--json"])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout), result.stderr

    def config(self, name: str) -> Any:
        return yaml.safe_load((self.home / "config" / name).read_text(encoding="utf-8"))

    def files(self) -> list[str]:
        return sorted(
            p.relative_to(self.home).as_posix() for p in self.home.rglob("config/**/*") if p.is_file()
        )


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("AMCI_KEY", "00" * 32)
    return Terminal(tmp_path.resolve())


def test_everything_that_people_have_is_taken_over(terminal: Terminal) -> None:
    files = [terminal.file("one.json", [SCHEDULE, WORKFLOW]), terminal.file("two.json", CUSTOMER)]
    rows, notes = terminal.json(*files)
    assert {(row["what"], row["name"], row["done"]) for row in rows} == {
        ("tenant", "acme", "created"), ("workflow", "reach", "written"), ("schedule", "weekly-reach", "written"),
    }  # fmt: skip
    assert {row["name"]: row["not_carried_over"] for row in rows} == {
        "acme": ["bucket_name", "bucket_region"], "reach": [], "weekly-reach": [],
    }  # fmt: skip
    assert "bucket_name" in notes
    assert "still to be fixed" not in notes
    assert terminal.config("tenants/acme.yaml")["instance_id"] == "amcacme1"
    assert terminal.config("workflows/reach.yaml") == {
        "workflow_id": "reach", "tenants": ["acme"], "filtered_reason_column": "why",
    }  # fmt: skip
    assert terminal.config("schedules/weekly-reach.yaml") == {
        "schedule": "weekly-reach", "expression": "cron(0 9 ? * MON *)", "workflow": "reach",
        "schedule_folder": "adhoc", "tenants": ["acme"], "window": {"type": "MOST_RECENT_WEEK"},
    }  # fmt: skip


def test_a_secret_goes_into_the_encrypted_file_and_is_never_printed(terminal: Terminal) -> None:
    rows, notes = terminal.json(terminal.file("secret.json", SECRET))
    assert [(row["what"], row["name"], row["done"]) for row in rows] == [("credentials", "default", "stored")]
    store = CredentialStore(WorkspacePaths(terminal.home), environment(), FakeClock())
    assert store.get("default").refresh_token == SECRET["refresh_token"]
    assert "planted" not in json.dumps(rows) + notes


def test_a_dry_run_writes_nothing(terminal: Terminal) -> None:
    rows, _ = terminal.json(terminal.file("all.json", [CUSTOMER, WORKFLOW, SCHEDULE, SECRET]), "--dry-run")
    assert [row["what"] for row in rows] == ["tenant", "workflow", "schedule", "credentials"]
    assert terminal.files() == []
    assert not WorkspacePaths(terminal.home).credentials.exists()


def test_what_is_there_is_kept_unless_it_is_forced(terminal: Terminal) -> None:
    file = terminal.file("all.json", [CUSTOMER, WORKFLOW, SCHEDULE])
    terminal.json(file)
    changed = {**SCHEDULE, "schedule_expression": "cron(0 10 ? * MON *)"}
    again = terminal.file("again.json", [CUSTOMER, WORKFLOW, changed])
    rows, _ = terminal.json(again)
    assert [row["done"] for row in rows] == ["unchanged", "kept", "kept"]
    assert "--force" in rows[2]["why"]
    terminal.json(again, "--force")
    assert terminal.config("schedules/weekly-reach.yaml")["expression"] == "cron(0 10 ? * MON *)"


def test_one_workflow_of_two_customers_is_for_both(terminal: Terminal) -> None:
    other = {**WORKFLOW, "customerId": "bolt"}
    _, notes = terminal.json(terminal.file("workflows.json", [WORKFLOW, other]))
    assert terminal.config("workflows/reach.yaml")["tenants"] == ["acme", "bolt"]
    assert "still to be fixed: config/workflows/reach.yaml: tenants: no tenant 'acme'" in notes


def test_mistakes_of_all_files_are_listed_and_nothing_is_written(terminal: Terminal) -> None:
    broken = {**SCHEDULE, "schedule_expression": "cron(never)"}
    files = [
        terminal.file("a.json", broken),
        terminal.file("b.json", CUSTOMER),
        terminal.file("c.json", {"x": 1}),
    ]
    with pytest.raises(ConfigError) as error:
        terminal.json(*files)
    assert [problem.file.rpartition("/")[2] for problem in error.value.problems] == ["a.json", "c.json"]
    assert terminal.files() == []


def request(kind: str, workflow_id: str = "reach", customer: Any = "acme") -> dict[str, Any]:
    """A request as the AWS solution's notebook sends it."""
    inner = {"customerId": customer, "requestType": kind, "workflowId": workflow_id}
    return {"customerId": customer, "workflowRequest": inner}


DELETE_SCHEDULE = {"rule_name": "weekly-reach"}


@pytest.mark.parametrize("rule", ["weekly-reach", "insights-wfm-weekly-reach"])
def test_requests_to_delete_remove_the_files_that_they_name_and_no_others(
    terminal: Terminal, rule: str
) -> None:
    other = {**SCHEDULE, "rule_name": "reach"}
    other["execution_request"] = {**other["execution_request"], "createExecutionRequest": {"workflowId": "b"}}
    second = {**WORKFLOW["workflowRequest"]["workflowDefinition"], "workflowId": "b"}
    kept = {"customerId": "acme", "workflowRequest": {"workflowDefinition": second}}
    terminal.json(terminal.file("all.json", [CUSTOMER, WORKFLOW, SCHEDULE, kept, other]))
    before = terminal.files()
    deletes = terminal.file("delete.json", [request("deleteWorkflow"), {"rule_name": rule}])
    dry, _ = terminal.json(deletes, "--dry-run")
    assert terminal.files() == before
    rows, notes = terminal.json(deletes)
    assert rows == dry
    gone = ["schedules/weekly-reach.yaml", "workflows/reach.sql", "workflows/reach.yaml"]
    assert [name for name in before if name not in terminal.files()] == [f"config/{name}" for name in gone]
    assert {(r["what"], r["name"], r["done"]) for r in rows} == {
        ("schedule", rule, "removed"), ("workflow", "reach", "removed"),
    }  # fmt: skip
    assert "config/workflows/reach.yaml, config/workflows/reach.sql" in rows[1]["why"]
    assert "`amci workflow delete reach --tenant acme`" in rows[1]["why"]
    assert "still to be fixed" not in notes
    assert [row["done"] for row in terminal.json(deletes)[0]] == ["missing", "missing"]


@pytest.mark.parametrize(
    ("workflow", "customer", "why"),
    [
        ("tenants: [acme]", "acme", "schedule weekly-reach executes it"),
        ("tenants: [acme, bolt]", "acme", "is for bolt as well"),
        ("tenants: [bolt]", "acme", "is not for acme"),
        ("tenant_tags: [shoes]", "acme", "is for tenants with a tag (shoes)"),
        ("all_tenants: true", ["acme", "bolt"], "is for all tenants"),
    ],
)
def test_a_workflow_is_kept_if_it_is_more_than_the_request_names(
    terminal: Terminal, workflow: str, customer: Any, why: str
) -> None:
    terminal.json(terminal.file("s.json", SCHEDULE))
    (terminal.home / "config/workflows").mkdir()
    terminal.file("config/workflows/mine.yml", f"workflow_id: reach\nsql: SELECT 1\n{workflow}\n")
    before = terminal.files()
    ((row,), _) = terminal.json(terminal.file("d.json", request("deleteWorkflow", customer=customer)))
    assert (row["done"], terminal.files()) == ("kept", before)
    assert why in row["why"]


def test_a_file_with_mistakes_is_not_taken_for_none(terminal: Terminal) -> None:
    for folder in ("workflows", "schedules"):
        (terminal.home / "config" / folder).mkdir(parents=True)
        terminal.file(f"config/{folder}/mine.yaml", "sql: [")
    rows, _ = terminal.json(terminal.file("d.json", [request("deleteWorkflow"), DELETE_SCHEDULE]))
    assert [(row["done"], row["why"]) for row in rows] == [
        ("kept", "config/schedules/mine.yaml: fix this first, it may be there"),
        ("kept", "config/workflows/mine.yaml: fix this first, it may be there"),
    ]
    assert len(terminal.files()) == 2


def test_a_question_for_a_workflow_is_answered_with_what_to_ask(terminal: Terminal) -> None:
    file = terminal.file("get.json", [request("getWorkflow"), request("getWorkflow", "other", ["acme", "b"])])
    rows, _ = terminal.json(terminal.file("w.json", WORKFLOW), file)
    assert [(row["name"], row["done"]) for row in rows] == [
        ("reach", "written"), ("reach", "there"), ("other", "missing"),
    ]  # fmt: skip
    assert "`amci workflow show other --tenant b --remote`" in rows[2]["why"]


def test_rows_of_the_solutions_own_tables_delete_nothing(terminal: Terminal) -> None:
    record = request("deleteWorkflow") | {"responseStatus": "DELETED"}
    terminal.json(terminal.file("w.json", WORKFLOW))
    before = terminal.files()
    rows, notes = terminal.json(terminal.file("table.json", record))
    assert (rows, terminal.files()) == ([], before)
    assert "was carried out there" in notes


@pytest.mark.parametrize(
    ("documents", "says"),
    [
        ([WORKFLOW, request("deleteWorkflow")], "workflow reach: is both defined and deleted"),
        ([SCHEDULE, DELETE_SCHEDULE], "schedule weekly-reach: is both defined and deleted"),
        ([request("dropWorkflow")], "no requestType 'dropWorkflow'"),
        ([request("deleteWorkflow", "")], "workflowId: field required"),
        ([{"workflowRequest": {"requestType": "deleteWorkflow", "workflowId": "x"}}], "customerId: field"),
        ({"dev": [{"dataset": "Sales"}]}, "dev.0.dataset: string should match pattern"),
        ({"dev": [{"dataset": "sales", "stage": "x"}]}, "dev.0.stage: unknown key"),
        ({"dev": [{"dataset": "sales"}], "prod": [{"dataset": "sales", "pipeline": "p"}]}, "stands twice"),
    ],
)
def test_what_contradicts_itself_is_refused(terminal: Terminal, documents: Any, says: str) -> None:
    with pytest.raises(ConfigError) as error:
        terminal.json(terminal.file("x.json", documents))
    assert any(says in str(problem) for problem in error.value.problems), error.value
    assert terminal.files() == []


def entry(dataset: str, a: str = "", b: str = "", pipeline: str = "insights") -> dict[str, Any]:
    config = {"stage_a_transform": a, "stage_b_transform": b}
    return {"dataset": dataset, "pipeline": pipeline, "config": config}


def test_further_datasets_become_files(terminal: Terminal) -> None:
    (terminal.home / "config/transforms").mkdir(parents=True)
    terminal.file("config/transforms/mine.sql", "SELECT * FROM rows")
    parameters = {"dev": [
        entry("amc", "amc_light_transform", "default_heavy_transform"),
        entry("invoices", "reports_light_transform", "default_heavy_transform"),
        entry("sales", "sales_light", "mine", "second"),
    ]}  # fmt: skip
    rows, notes = terminal.json(terminal.file("datasets_parameters.json", parameters))
    assert [(row["what"], row["name"], row["done"]) for row in rows] == [
        ("dataset", "amc", "kept"), ("dataset", "invoices", "written"), ("dataset", "sales", "written"),
    ]  # fmt: skip
    assert terminal.config("datasets/invoices.yaml") == {
        "dataset": "invoices", "format": "json", "light": "reports_light_transform",
    }  # fmt: skip
    assert terminal.config("datasets/sales.yaml") == {"dataset": "sales", "heavy": "mine"}
    assert rows[2]["not_carried_over"] == ["pipeline", "stage_a_transform sales_light"]
    assert rows[2]["why"] == "write sales_light into config/transforms/, then name each in sales.yaml"
    assert "still to be fixed" not in notes
    assert [row["done"] for row in terminal.json(str(terminal.home / "datasets_parameters.json"))[0]] == [
        "kept", "kept", "kept",
    ]  # fmt: skip


ROW = {
    "customerId": "acme",
    "Name": "daily",
    "ScheduleExpression": "custom(D * 6)",
    "State": "ENABLED",
    "Input": {"customerId": "acme", "payload": [{"workflowId": "reach"}]},
}


def typed(value: Any) -> Any:
    """As DynamoDB exports it."""
    if isinstance(value, dict):
        return {"M": {name: typed(one) for name, one in value.items()}}
    return {"L": [typed(one) for one in value]} if isinstance(value, list) else {"S": value}


@pytest.mark.parametrize(
    "document",
    [
        ROW,
        {"Items": [typed(ROW)["M"]], "Count": 1},
        {"Item": typed(ROW)["M"]},
        {"Items": [{**typed(ROW)["M"], "Input": typed(json.dumps(ROW["Input"]))}]},
    ],
)
def test_rows_of_the_version_of_2022_become_schedules(terminal: Terminal, document: Any) -> None:
    terminal.json(terminal.file("rows.json", document))
    assert terminal.config("schedules/daily.yaml") == {
        "schedule": "daily", "expression": "custom(D * 6)", "workflow": "reach", "schedule_folder": "adhoc",
        "tenants": ["acme"], "enabled": True,
    }  # fmt: skip


def test_a_row_whose_input_is_for_another_customer_is_refused(terminal: Terminal) -> None:
    with pytest.raises(ConfigError, match="which of the two is meant"):
        terminal.json(terminal.file("rows.json", {**ROW, "customerId": "bolt"}))
    with pytest.raises(ConfigError, match="2 requests; write a schedule for each"):
        terminal.json(terminal.file("rows.json", {**ROW, "Input": {"payload": [{}, {}]}}))


def test_a_request_for_an_execution_is_sent_elsewhere() -> None:
    request = {"customerId": "acme", "requestType": "getExecutionStatus", "workflowExecutionId": "e-1"}
    with pytest.raises(ConfigError, match="amci exec run --request"):
        read_documents([("r.json", json.dumps(request))])


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        (CUSTOMER, DocumentKind.TENANT),
        (CUSTOMER["customer_details"], DocumentKind.TENANT),
        (WORKFLOW, DocumentKind.WORKFLOW),
        (SCHEDULE, DocumentKind.SCHEDULE),
        ({"Name": "x", "ScheduleExpression": "rate(1 day)", "Input": "{}"}, DocumentKind.SCHEDULE),
        (SECRET, DocumentKind.CREDENTIALS),
        ({"eu": SECRET, "na": SECRET}, DocumentKind.CREDENTIALS),
        ({}, None),
        ({"tenant": "acme"}, None),
    ],
)
def test_a_document_is_known_by_what_it_holds(document: dict[str, Any], kind: DocumentKind | None) -> None:
    assert kind_of(document) is kind


def test_removing_one_tenant_of_a_file_says_what_became_of_the_file(terminal: Terminal) -> None:
    (terminal.home / "config" / "tenants").mkdir(parents=True)
    details = CUSTOMER["customer_details"]
    two = {**details, "customer_id": "bolt", "amc": {**details["amc"], "instance_id": "amcbolt1"}}
    terminal.file("config/tenants/all.json", {"customers": [details, two]})
    record, notes = terminal.json("remove", "acme", "--yes", app=tenant_app)
    assert record == {
        "tenant": "acme", "rewritten": "config/tenants/all.json",
        "not_carried_over": {"bolt": ["bucket_name", "bucket_region"]},
    }  # fmt: skip
    assert "bolt: its file is now in amci's own form; not carried over: bucket_name, bucket_region" in notes
    record, _ = terminal.json("remove", "bolt", "--yes", app=tenant_app)
    assert record == {"tenant": "bolt", "removed": "config/tenants/all.json"}
