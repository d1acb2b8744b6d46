"""What docs/coming-from-aws.md says is done: its commands run one after another, on one workspace with the sandbox."""

from __future__ import annotations

import ast
import json
import re
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from amci.cli.app import app, load
from amci.kernel.config import AmcSettings, NotifySettings
from amci.kernel.errors import IllegalMove
from amci.scheduler.expression import parse
from amci.tenants.model import Tenant

ROOT = Path(__file__).parents[2]
WALK = "cli/test_coming_from_aws.py::test_the_page_is_gone_through"
SETTINGS_TEST = "cli/test_coming_from_aws.py::test_settings_and_texts_of_the_page_are_there"
PAGE = (ROOT / "docs" / "coming-from-aws.md").read_text(encoding="utf-8")
#: Every command that the page names, as it stands there.
SPANS = list(dict.fromkeys(re.findall(r"`amci ([^`]+)`", PAGE)))

SETTINGS = (
    "threads: 1\nnotify: []\nsettle: 0s\n"
    "amc: {mode: sandbox, poll_first: 0s, poll_longest: 0s, sandbox: {scale: 0.01, days: 3}}\n"
)
WINDOW = {
    "timeWindowType": "EXPLICIT",
    "timeWindowStart": "2026-10-01T00:00:00",
    "timeWindowEnd": "2026-10-03T00:00:00",
}
SQL = "SELECT COUNT(*) AS impressions FROM dsp_impressions"


def customer(name: str) -> dict[str, Any]:
    amc = {"instance_id": f"amc{name}", "amazon_ads_advertiser_id": f"ENTITY{name}", "bucket_name": f"amc-{name}",
           "amazon_ads_marketplace_id": "ATVPDKIKX0DER", "aws_orange_account_id": "1"}  # fmt: skip
    return {"customer_details": {"customer_id": name, "customer_name": name.title(), "amc": amc}}


def execution(**request: Any) -> dict[str, Any]:
    return {"customerId": "acme", "requestType": "createExecution", "createExecutionRequest": request}


def workflow(kind: str, **more: Any) -> dict[str, Any]:
    return {"customerId": "acme", "workflowRequest": {"customerId": "acme", "requestType": kind, **more}}


REACH = workflow("createWorkflow", workflowDefinition={"workflowId": "reach", "sqlQuery": SQL})
WEEKLY = {
    "execution_request": execution(workflowId="reach", **WINDOW),
    "schedule_expression": "cron(0 9 ? * 2 2199)",
    "rule_name": "weekly-reach",
    "rule_description": "every week",
}
SECRET = {"client_id": "amzn1.client", "client_secret": "s", "refresh_token": "Atzr|x"}
HISTORY = "raw/acme/workflow=reach/schedule=adhoc/2025-11-01T06:00:00.000Z-reach.csv"


class Move:
    """One workspace that is moved here, and the commands of the page that ran."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.ran: set[str] = set()
        (home / "config").mkdir()
        (home / "amci.yaml").write_text(SETTINGS, encoding="utf-8")

    def file(self, name: str, content: Any) -> None:
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")

    def amci(self, span: str, *more: str, code: int = 0, **placeholders: str) -> Any:
        """Run a command as the page has it, its placeholders filled in; what it prints with --json."""
        self.ran.add(span)
        words = [placeholders.get(word, word) for word in shlex.split(span)]
        called = CliRunner().invoke(app, [*words, *more, "--home", str(self.home), "--json"])
        if called.exception and not isinstance(called.exception, SystemExit):
            raise called.exception
        assert called.exit_code == code, called.output
        return json.loads(called.stdout) if called.stdout.strip() else None

    def rows(self, table: str) -> list[tuple[Any, ...]]:
        found = self.amci("query", f"SELECT count(*) AS n, count(DISTINCT _object_id) AS files FROM {table}")
        return [tuple(row.values()) for row in found]


#: What the page names by the group alone, or tells of what needs a browser, a process or another clock.
ELSEWHERE = {
    "up": "app/test_whole_circle.py::test_a_schedule_fires_while_up_is_running_and_its_rows_can_be_queried",
    "auth": "cli/test_aws_import.py::test_a_secret_goes_into_the_encrypted_file_and_is_never_printed",
    "auth set": "cli/test_aws_import.py::test_a_secret_goes_into_the_encrypted_file_and_is_never_printed",
    "auth login": "workflows/amazon/test_login.py::test_a_login_shows_the_page_and_keeps_the_tokens",
    "exec backfill": "cli/test_exec.py::test_a_backfill_asks_once_however_often_it_is_said",
    "exec for-each": "cli/test_exec.py::test_each_row_of_a_query_is_an_execution",
    "exec reconcile": "cli/test_exec.py::test_a_result_can_be_downloaded_and_all_is_counted",
    "exec": "cli/test_exec.py::test_a_workflow_is_run_and_its_result_loaded",
    "import": "cli/test_aws_import.py::test_everything_that_people_have_is_taken_over",
    "import FILE…": "cli/test_aws_import.py::test_everything_that_people_have_is_taken_over",
    "schedule": "cli/test_schedule.py::test_list_shows_each_schedule_with_its_next_fire",
    "tenant add": "cli/test_aws_import.py::test_everything_that_people_have_is_taken_over",
    "tenant check": "cli/test_exec.py::test_a_workflow_is_run_and_its_result_loaded",
    "uninstall": "app/test_uninstall.py::test_only_what_amci_deployed_goes_and_data_stay",
    "workflow": "cli/test_workflow.py::test_a_workflow_goes_to_amc_and_comes_back",
    **dict.fromkeys(
        [f"workflow {verb} reach --tenant acme" for verb in ("create", "update")],
        "cli/test_workflow.py::test_a_workflow_goes_to_amc_and_comes_back",
    ),
    "workflow delete reach --tenant acme": "cli/test_workflow.py::test_deleting_asks_first",
    "workflow pull": "cli/test_workflow.py::test_a_workflow_goes_to_amc_and_comes_back",
    "exec run … --validate": "cli/test_exec.py::test_a_workflow_is_run_and_its_result_loaded",
}


@pytest.mark.parametrize("span", [*ELSEWHERE])
def test_a_command_that_is_not_run_here_exists_with_its_options(span: str) -> None:
    words = shlex.split(span.replace("…", "x"))
    command = load(words.pop(0))
    while words and (inner := getattr(command, "commands", {}).get(words[0])):
        command = inner
        words.pop(0)
    # What it does not know, a word or an option, it refuses.
    assert not words or command.make_context("amci", words).command is command


def documents_become_files(move: Move) -> None:
    move.file("customer.json", customer("acme"))
    move.file("customers.json", [customer("acme"), customer("bolt")])
    move.file("workflows.json", [REACH, workflow("updateWorkflow", workflowDefinition={
        "workflowId": "spend", "sqlQuery": SQL.replace("AS impressions", "AS seen")})])  # fmt: skip
    move.file("schedules.json", WEEKLY)
    move.file("secret.json", {"eu": SECRET, "na": SECRET})
    assert move.amci("tenant add customer.json", "--no-check") == [{"tenant": "acme", "change": "created"}]
    changes = [row["change"] for row in move.amci("tenant add customers.json", "--no-check")]
    assert changes == ["created", "unchanged"]
    span = "import customers.json workflows.json schedules.json"
    dry = move.amci(span, "--dry-run")
    assert not (move.home / "config/workflows").exists()
    assert move.amci(span) == dry
    assert [row["done"] for row in dry] == ["unchanged", "unchanged", "written", "written", "written"]
    assert {row["name"] for row in move.amci("import secret.json")} == {"eu", "na"}
    move.file("secret.json", SECRET)
    move.amci("auth set --file secret.json")
    assert move.amci("tenant show acme")["instance_id"] == "amcacme"


def what_was_there_is_loaded_and_what_is_to_be_done_is_said(move: Move) -> None:
    move.file(HISTORY, "impressions\n1\n2\n")
    move.file("raw/adtech/ads_report/clicks/report-1.json", [{"clicks": 1}])
    move.file("config/datasets/amc.yaml", "dataset: amc\ncompat: aws\n")
    assert {(row["change"], row["name"]) for row in move.amci("plan")} >= {
        ("provision", "acme"), ("create", "reach"), ("activate", "weekly-reach"),
    }  # fmt: skip
    assert move.amci("drain")["succeeded"] == 4
    assert move.rows("adtech_amc.acme_reach_adhoc") == [(2, 1)]
    assert move.rows("adtech_ads_report.clicks") == [(1, 1)]
    assert {row["status"] for row in move.amci("apply")} == {"SUCCEEDED"}
    assert move.amci("plan") == []
    assert {row["dataset"] for row in move.amci("lake datasets")} == {"amc", "ads_report", "sp_report"}


def workflows_are_compared_and_brought_back(move: Move) -> None:
    assert {row["workflow_id"] for row in move.amci("workflow list")} == {"reach", "spend"}
    assert move.amci("workflow show reach --tenant acme --remote")["sqlQuery"].strip() == SQL
    assert move.amci("workflow diff", "reach", "--tenant", "acme")["is_same"]
    (move.home / "config/workflows/spend.sql").unlink()
    (move.home / "config/workflows/spend.yaml").unlink()
    pulled = {row["workflow_id"]: row["done"] for row in move.amci("workflow pull --tenant acme")}
    assert pulled == {"reach": "kept", "spend": "written"}


def executions_are_asked_for_as_before(move: Move) -> None:
    move.file(
        "request.json", execution(workflowId="reach", parameterValues={}, ignoreDataGaps="True", **WINDOW)
    )
    move.file("query.sql", SQL)
    [asked] = move.amci("exec run --request request.json")
    [sent] = move.amci("exec run --sql query.sql --tenant acme", "--window", "2026-10-01..2026-10-03")
    [later] = move.amci("exec run reach --tenant acme --window PREVIOUS_MONTH")
    assert move.amci("exec cancel ID", ID=str(later["run_id"])) == []
    [fired] = move.amci("schedule fire", "weekly-reach")
    move.amci("drain")
    ids = [str(row["run_id"]) for row in (asked, sent, later, fired)]
    status = [move.amci("exec status ID", ID=each) for each in ids]
    known = [one.get("execution_status") or one["status"] for one in status]
    assert known == ["SUCCEEDED", "SUCCEEDED", "CANCELLED", "SUCCEEDED"]
    # A rule that moved goes on with the table it had, and so does what is asked for by hand.
    ((_, files),) = move.rows("adtech_amc.acme_reach_adhoc")
    assert files == 3
    move.file("request.json", {"customerId": "acme", "requestType": "cancelExecution",
                               "workflowExecutionId": status[0]["workflow_execution_id"]})  # fmt: skip
    with pytest.raises(IllegalMove):
        move.amci("exec run --request request.json")
    assert len(move.amci("exec list")) == 3
    assert {row["tenant"]: row["succeededExecutions"] for row in move.amci("exec summary")}["acme"] == 3
    assert move.amci("exec retry --failed-since 7d") == []
    assert move.amci("runs list --status failed") == []
    assert move.amci("runs list", "--limit", "1")
    assert move.amci("runs show", ids[0])["status"] == "SUCCEEDED"


def schedules_can_be_looked_at_and_stopped(move: Move) -> None:
    assert [row["schedule"] for row in move.amci("schedule list")] == ["weekly-reach"]
    (first, *_) = rows = move.amci("schedule next 20")
    # 2 is Monday, as it was there.
    assert (first["schedule"], first["fire_time"][:10], len(rows)) == ("weekly-reach", "2199-01-07", 20)
    assert move.amci("schedule show", "weekly-reach")["description"] == "every week"
    assert len(move.amci("schedule history", "weekly-reach")) == 1
    move.amci("schedule pause", "weekly-reach")
    move.amci("schedule resume", "weekly-reach")


def requests_to_delete_are_carried_out(move: Move) -> None:
    move.file("request.json", [{"rule_name": "weekly-reach"}, workflow("deleteWorkflow", workflowId="reach")])
    assert {(row["name"], row["done"]) for row in move.amci("import request.json")} == {
        ("weekly-reach", "removed"), ("reach", "removed"),
    }  # fmt: skip
    assert {(row["change"], row["name"]) for row in move.amci("plan")} >= {
        ("delete", "reach"), ("retire", "weekly-reach"),
    }  # fmt: skip


#: Rows of the page's tables that name no command, each with a test of what it says.
ROWS = {
    "onboarding: a stack for each tenant": WALK,
    "Workflow Manager: state machines and three tables": WALK,
    "EventBridge rules": "scheduler/test_expression.py::test_an_expression_fires_when_its_maker_says",
    "one topic with one e-mail address":
        "kernel/notify/test_notifier.py::test_a_target_hears_its_events_and_tenants_only",
    "buckets, queues, Glue, Athena": WALK,
    "notebooks": "test_docs.py::test_every_command_has_help_with_an_example_of_itself",
    "`CreateWorkflowSchedule`": "scheduler/test_config.py::test_a_rule_of_the_aws_solution_is_taken_as_it_is",
    "`oob_reports`, added by hand and lost at the next onboarding":
        "tenants/test_registry.py::test_a_tenant_that_comes_again_keeps_what_the_document_does_not_speak_of",
    "octagon ObjectMetadata":
        "app/test_whole_circle.py::test_an_execution_brings_its_rows_and_where_they_come_from",
    "Reporting notebooks": WALK,
    "`maximumConcurrentWorkflowExecutions`":
        "workflows/executions/test_fairness.py::test_amc_never_has_more_of_a_tenant_than_its_slots",
    "`custom(H * *)`, `custom(D * 6)`, `custom(W 0 6)`, `custom(M 1 6)`": SETTINGS_TEST,
    "status notices with an ignore list": SETTINGS_TEST,
}  # fmt: skip


def test_the_page_is_gone_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMCI_KEY", "00" * 32)
    monkeypatch.chdir(tmp_path)
    move = Move(tmp_path.resolve())
    documents_become_files(move)
    what_was_there_is_loaded_and_what_is_to_be_done_is_said(move)
    workflows_are_compared_and_brought_back(move)
    executions_are_asked_for_as_before(move)
    schedules_can_be_looked_at_and_stopped(move)
    requests_to_delete_are_carried_out(move)
    assert sorted(set(SPANS) - move.ran) == sorted(ELSEWHERE)


def test_each_row_of_the_page_has_a_command_or_a_test() -> None:
    tables = [line for line in PAGE.splitlines() if line.startswith("| ")]
    heads = {line for line, below in pairwise(tables) if below.startswith("| --- ")}
    rows = [line.split(" | ")[0].removeprefix("| ") for line in tables
            if "`amci " not in line and line not in heads and "---" not in line]  # fmt: skip
    assert rows == list(ROWS)


def test_each_test_that_is_named_is_there() -> None:
    for link in {*ELSEWHERE.values(), *ROWS.values()}:
        file, _, name = link.partition("::")
        functions = ast.walk(ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8")))
        assert name in {node.name for node in functions if isinstance(node, ast.FunctionDef)}, link


def test_settings_and_texts_of_the_page_are_there() -> None:
    for text in re.findall(r"`(custom\([^`]+\))`", PAGE):
        parse(text)
    assert {"slots", "shared_workflows", "notify", "raw"} <= Tenant.model_fields.keys()
    assert "account_slots" in AmcSettings.model_fields
    assert {"events", "kinds", "statuses"} <= NotifySettings.model_fields.keys()
