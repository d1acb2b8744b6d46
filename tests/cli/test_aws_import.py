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
        "tenants": ["acme"], "window": {"type": "MOST_RECENT_WEEK"},
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
