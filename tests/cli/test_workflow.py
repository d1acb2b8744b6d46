from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from amci.cli.workflow import workflow_app
from amci.kernel.errors import NotFound, QueryError, UsageError

SQL = "SELECT campaign, SUM(impressions) AS n FROM dsp_impressions GROUP BY 1"
TENANT = "tenant: {0}\ninstance_id: amc{0}\nadvertiser_id: ENTITY{0}\nmarketplace_id: ATVPDKIKX0DER\n"


class Shell:
    """A workspace whose AMC is the sandbox, and its commands."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.configure("../amci.yaml", "notify: []\namc: {mode: sandbox}\n")
        for tenant in ("acme", "bolt"):
            self.configure(f"tenants/{tenant}.yaml", TENANT.format(tenant))
        self.configure("workflows/reach.sql", f"-- Reach by campaign\n{SQL};\n")

    def configure(self, path: str, text: str) -> None:
        file = self.home / "config" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def run(self, *words: str, answer: str | None = None, code: int = 0) -> Any:
        """What the command prints as JSON."""
        called = CliRunner().invoke(workflow_app, [*words, "--json", "--home", str(self.home)], input=answer)
        if called.exception and not isinstance(called.exception, SystemExit):
            raise called.exception
        assert called.exit_code == code, called.output
        printed = called.stdout.removeprefix(f" {answer}")  # the runner echoes what is answered
        return json.loads(printed) if printed else None

    def text(self, *words: str) -> str:
        return CliRunner().invoke(workflow_app, [*words, "--home", str(self.home)]).stdout


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def test_a_workflow_goes_to_amc_and_comes_back(shell: Shell) -> None:
    assert [r["says"] for r in shell.run("create", "reach", "--all", "--wait")] == ["CREATED", "CREATED"]
    (row,) = shell.run("list")
    assert (row["in_amc"], row["outdated"]) == (["acme", "bolt"], [])
    assert shell.run("show", "reach", "--tenant", "acme", "--remote")["sqlQuery"].strip() == SQL
    assert shell.run("diff", "reach", "--tenant", "acme")["is_same"]

    shell.configure("workflows/reach.sql", f"{SQL} HAVING SUM(impressions) > 1")
    assert shell.run("list")[0]["outdated"] == ["acme", "bolt"]
    assert f"-{SQL}" in shell.text("diff", "reach", "--tenant", "acme")
    assert [r["says"] for r in shell.run("update", "reach", "--tenant", "acme", "--wait")] == ["UPDATED"]
    assert shell.run("list")[0]["outdated"] == ["bolt"]

    (shell.home / "config/workflows/reach.sql").unlink()
    assert [r["done"] for r in shell.run("pull", "--tenant", "acme")] == ["written"]
    assert "HAVING" in (shell.home / "config/workflows/reach.sql").read_text()
    assert [r["done"] for r in shell.run("pull", "reach", "--tenant", "bolt")] == ["kept"]
    assert [r["done"] for r in shell.run("pull", "reach", "--tenant", "bolt", "--force")] == ["written"]
    assert "HAVING" not in (shell.home / "config/workflows/reach.sql").read_text()


def test_without_wait_the_work_is_in_line(shell: Shell) -> None:
    (row,) = shell.run("create", "reach", "--tenant", "acme")
    assert (row["status"], row["action"], row["tenant"]) == ("PENDING", "create", "acme")
    assert shell.run("list")[0]["in_amc"] == []


def test_a_refusal_of_amc_ends_with_the_code_for_failed_runs(shell: Shell) -> None:
    shell.configure("workflows/bad.sql", "SELECT SUM(x) FROM nowhere")
    (row,) = shell.run("create", "bad", "--tenant", "acme", "--no-check", "--wait", code=3)
    assert row["status"] == "FAILED"
    assert "Was unable to compile workflow bad" in row["says"]


@pytest.mark.parametrize("verb", ["create", "update"])
def test_what_amc_would_refuse_is_not_sent(shell: Shell, verb: str) -> None:
    shell.configure(
        "workflows/bad.sql", "SELECT campain, SUM(impressions) AS n\nFROM dsp_impressions GROUP BY 1"
    )
    with pytest.raises(QueryError) as refused:
        shell.run(verb, "bad", "--all")
    assert "workflow bad:1:8: error: Column 'campain' not found in any table" in str(refused.value)
    assert "did you mean campaign?" in str(refused.value)
    assert "--no-check" in refused.value.hint
    assert shell.run("create", "reach", "--all") != []
    assert {r["in_amc"] == [] for r in shell.run("list")} == {True}


def test_a_parameter_that_is_declared_passes_the_check(shell: Shell) -> None:
    shell.configure("workflows/one.sql", f"{SQL} HAVING SUM(impressions) > CUSTOM_PARAMETER('least')")
    declared = "input_parameters: [{name: least, data_type: LONG, default_value: 1}]\n"
    shell.configure("workflows/one.yaml", declared)
    assert [r["says"] for r in shell.run("create", "one", "--tenant", "acme", "--wait")] == ["CREATED"]


def test_a_live_amc_may_have_tables_that_nobody_knows_here(shell: Shell) -> None:
    shell.configure("../amci.yaml", "notify: []\namc: {mode: live}\n")
    shell.configure("workflows/own.sql", "SELECT COUNT(DISTINCT user_id) AS n FROM my_upload")
    (row,) = shell.run("create", "own", "--tenant", "acme")
    assert row["status"] == "PENDING"


def test_deleting_asks_first(shell: Shell) -> None:
    shell.run("create", "reach", "--tenant", "acme", "--wait")
    delete = ("delete", "reach", "--tenant", "acme", "--wait")
    shell.run(*delete, answer="n\n", code=1)
    assert shell.run("list")[0]["in_amc"] == ["acme"]
    assert [r["says"] for r in shell.run(*delete, answer="y\n")] == ["DELETED"]
    assert [r["status"] for r in shell.run(*delete, "--yes")] == ["SKIPPED"]
    assert shell.run("list")[0]["in_amc"] == []


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (["create", "raech", "--all"], NotFound, "did you mean 'reach'?"),
        (["create", "reach", "--tenant", "amce"], NotFound, "did you mean 'acme'?"),
        (["create", "reach"], UsageError, "--tenant"),
        (["show", "reach", "--remote"], UsageError, "--tenant"),
        (["show", "reach", "--remote", "--tenant", "acme"], NotFound, "amci workflow create reach"),
        (["diff", "reach", "--tenant", "zzz"], NotFound, "amci tenant list"),
    ],
)
def test_what_is_not_there_is_said_with_what_to_do(
    shell: Shell, words: list[str], error: type[Exception], hint: str
) -> None:
    with pytest.raises(error) as refused:
        shell.run(*words)
    assert hint in refused.value.hint  # type: ignore[attr-defined]


def test_a_workflow_is_shown_as_it_is_written_and_as_amc_gets_it(shell: Shell) -> None:
    assert shell.run("show", "reach")["sql"].startswith("-- Reach by campaign")
    assert shell.run("show", "reach", "--tenant", "acme")["sqlQuery"].strip() == SQL
    shown = shell.text("show", "reach").splitlines()
    assert shown[0] == "workflow_id: reach"
    assert shown[-1] == f"{SQL};"
