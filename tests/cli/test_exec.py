from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from amci.cli.exec import exec_app
from amci.cli.workflow import workflow_app
from amci.kernel.errors import IllegalMove, UsageError

SETTINGS = (
    "name: test\nthreads: 1\nnotify: []\namc:\n  mode: sandbox\n  poll_first: 20ms\n  poll_longest: 100ms\n"
)
SQL = "SELECT campaign, SUM(impressions) AS impressions FROM dsp_impressions GROUP BY 1\n"
WINDOW = "2026-10-01..2026-10-08"


class Terminal:
    """The commands of one workspace, whose AMC is the sandbox."""

    def __init__(self, home: Path) -> None:
        self.home = home
        for file, text in {
            "amci.yaml": SETTINGS,
            "config/tenants/acme.yaml": "tenant: acme\ninstance_id: amcacme1\nadvertiser_id: ENTITYACME\n"
            "marketplace_id: ATVPDKIKX0DER\n",
            "config/workflows/reach.sql": SQL,
        }.items():
            path = home / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def json(self, *words: str, app: Any = exec_app, code: int = 0) -> Any:
        """What a command prints with --json; raises what it raises."""
        result = CliRunner().invoke(app, [*words, "--home", str(self.home), "--json"])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return json.loads(result.stdout) if result.stdout else None

    def stderr(self, *words: str) -> str:
        """What a command of `amci exec` says on the side."""
        return CliRunner().invoke(exec_app, [*words, "--home", str(self.home)]).stderr

    def aside(self, *words: str) -> Any:
        """The same with --json."""
        return json.loads(self.stderr(*words, "--json"))


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    made = Terminal(tmp_path_factory.mktemp("workspace"))
    made.json("create", "reach", "--tenant", "acme", "--wait", app=workflow_app)
    return made


def test_a_workflow_is_run_and_its_result_loaded(terminal: Terminal) -> None:
    [row] = terminal.json("run", "reach", "--window", WINDOW, "--wait")
    assert (row["status"], row["execution_status"], row["tenant"]) == ("SUCCEEDED", "SUCCEEDED", "acme")
    assert (terminal.home / "raw" / row["key"]).exists()
    known = terminal.json("status", str(row["run_id"]))
    assert known["workflow_execution_id"] == row["workflow_execution_id"]
    assert known["window"] == "2026-10-01T00:00:00..2026-10-08T00:00:00"
    with pytest.raises(IllegalMove, match="SUCCEEDED"):
        terminal.json("cancel", str(row["run_id"]))


def test_what_makes_no_sense_is_refused_before_it_is_put_in_line(terminal: Terminal) -> None:
    with pytest.raises(UsageError, match="no parameter 'x'"):
        terminal.json("run", "reach", "--param", "x=1")
    with pytest.raises(UsageError, match="which workflow"):
        terminal.json("run")
    with pytest.raises(UsageError, match="is not a time window"):
        terminal.json("run", "reach", "--window", "yesterday")


def test_a_dry_run_shows_concrete_dates_and_asks_for_nothing(terminal: Terminal) -> None:
    before = len(terminal.json("list"))
    rows = terminal.json(
        "backfill", "reach", "--from", "2026-07-01", "--to", "2026-08-01", "--step", "1w", "--dry-run"
    )
    assert [row["window"] for row in rows][:1] == ["2026-07-01T00:00:00..2026-07-08T00:00:00"]
    assert len(rows) == 4
    assert len(terminal.json("list")) == before


def test_a_backfill_asks_once_however_often_it_is_said(terminal: Terminal) -> None:
    words = ("backfill", "reach", "--from", "2026-10-01", "--to", "2026-10-03")
    first = terminal.json(*words, "--wait")
    again = terminal.json(*words, "--wait")
    assert [row["run_id"] for row in first] == [row["run_id"] for row in again]
    assert {row["status"] for row in first} == {"SUCCEEDED"}
    told = terminal.aside(*words, "--dry-run")
    assert [each["run_id"] for each in told["asked_before"]] == [row["run_id"] for row in first]
    assert "2 of 2 were asked for before (2 SUCCEEDED)" in terminal.stderr(*words, "--dry-run")


def test_a_backfill_says_before_what_it_leaves_out(terminal: Terminal) -> None:
    words = ("backfill", "reach", "--from", "2019-07-01", "--to", "2019-07-17", "--step", "1w", "--dry-run")
    told = terminal.aside(*words)["left_out"]
    assert [(each["why"], each["window"][:10], each["window"][-19:-9]) for each in told] == [
        ("cut_off", "2019-07-15", "2019-07-17"),
        ("beyond_history", "2019-07-01", "2019-07-08"),
        ("beyond_history", "2019-07-08", "2019-07-15"),
    ]
    assert "left out: 2019-07-15T00:00:00..2019-07-17T00:00:00" in terminal.stderr(*words)
    assert "left out" not in terminal.stderr(*words, "--keep-partial")


def test_ad_hoc_sql_failures_and_retries(terminal: Terminal, tmp_path: Path) -> None:
    sql = tmp_path / "look.sql"
    sql.write_text(
        "SELECT advertiser, SUM(impressions) AS n FROM dsp_impressions GROUP BY 1", encoding="utf-8"
    )
    [row] = terminal.json("run", "--sql", str(sql), "--window", WINDOW, "--wait")
    assert row["key"].startswith("acme/workflow=look/schedule=adhoc/")
    [bad] = terminal.json("run", "nowhere", "--wait", code=3)
    assert (bad["status"], bad["execution_status"]) == ("FAILED", "REJECTED")
    assert [again["run_id"] for again in terminal.json("retry", "--dry-run")] == [bad["run_id"]]
    [again] = terminal.json("retry", "--wait", code=3)
    assert again["run_id"] == bad["run_id"]


def test_request_documents_of_the_aws_solution_create_and_ask(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "request.json"
    start, _, end = WINDOW.partition("..")
    created = {
        "workflowId": "reach",
        "timeWindowType": "EXPLICIT",
        "timeWindowStart": start,
        "timeWindowEnd": end,
        "ignoreDataGaps": "True",
    }
    file.write_text(json.dumps({"customerId": "acme", "createExecutionRequest": created}), encoding="utf-8")
    [row] = terminal.json("run", "--request", str(file), "--wait")
    asked = {"customerId": "acme", "requestType": "getExecutionStatus"}
    asked["workflowExecutionId"] = row["workflow_execution_id"]
    file.write_text(json.dumps(asked), encoding="utf-8")
    assert terminal.json("run", "--request", str(file))["execution_status"] == "SUCCEEDED"


def test_each_row_of_a_query_is_an_execution(terminal: Terminal) -> None:
    query = "SELECT DATE '2026-10-05' + CAST(range AS INTEGER) AS day, DATE '2026-10-09' AS til FROM range(2)"
    rows = terminal.json("for-each", query, "--workflow", "reach", "--window", ":day..:til", "--dry-run")
    assert [row["window"] for row in rows] == [
        "2026-10-05T00:00:00..2026-10-09T00:00:00",
        "2026-10-06T00:00:00..2026-10-09T00:00:00",
    ]


def test_a_result_can_be_downloaded_and_all_is_counted(terminal: Terminal, tmp_path: Path) -> None:
    [row] = terminal.json("run", "reach", "--window", "2026-10-02..2026-10-09", "--wait")
    terminal.json("download", row["workflow_execution_id"], "--to", str(tmp_path / "mine.csv"))
    assert (tmp_path / "mine.csv").read_bytes() == (terminal.home / "raw" / row["key"]).read_bytes()
    [counted] = terminal.json("reconcile")
    assert (counted["status"], counted["new"], counted["deleted"]) == ("SUCCEEDED", 0, 0)
    [summary] = terminal.json("summary", "--include-details")
    assert summary["totalExecutions"] == len(summary["executions"]) == counted["listed"]


def test_a_run_in_line_is_cancelled_here(terminal: Terminal) -> None:
    [row] = terminal.json("run", "reach", "--window", "2026-10-03..2026-10-09")
    assert terminal.json("status", str(row["run_id"]))["status"] == "PENDING"
    assert terminal.json("cancel", str(row["run_id"])) == []
    assert terminal.json("status", str(row["run_id"]))["status"] == "CANCELLED"
