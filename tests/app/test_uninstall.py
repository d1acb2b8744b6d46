"""What `amci uninstall` takes down, and what it leaves."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path
from typing import Any

import keyring
import pytest
from keyring.backends import fail
from typer.testing import CliRunner

from amci.app.engine import open_engine
from amci.app.session import open_session
from amci.cli.uninstall import uninstall_app
from amci.kernel.clock import SystemClock
from amci.kernel.workspace import WorkspacePaths
from amci.tenants.credentials import Credential
from amci.workflows.definitions.run_factory import Action, workflow_run

OTHER = "SELECT campaign, SUM(clicks) AS n FROM dsp_clicks GROUP BY 1"
FILES = {
    "amci.yaml": "name: test\nthreads: 1\nnotify: []\namc: {mode: sandbox}\n",
    "config/tenants/acme.yaml": "tenant: acme\ninstance_id: amcacme1\nadvertiser_id: ENTITYACME\n"
    "marketplace_id: ATVPDKIKX0DER\n",
    **{f"config/workflows/{name}.sql": "SELECT campaign, SUM(impressions) AS n FROM dsp_impressions GROUP BY 1\n"
       for name in ("ours", "theirs", "changed")},
    "raw/adtech/d/t/a.csv": "v\n1\n",
    "config/datasets/d.yaml": "dataset: d\n",
    "notes.txt": "mine",
    "state/notes.txt": "mine",
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace that has loaded a file, and has brought three workflows to AMC, one of which AMC had before."""
    home = tmp_path_factory.mktemp("made") / "w"
    for name, text in FILES.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text, encoding="utf-8")
    workspace = WorkspacePaths(home)
    with open_engine(workspace, SystemClock(), {}) as engine:
        opened = engine.session
        tenant = opened.project.tenants["acme"]
        opened.client(tenant).put_workflow({"workflowId": "theirs", "sqlQuery": OTHER})
        opened.client(tenant).put_workflow({"workflowId": "foreign", "sqlQuery": OTHER})
        names = ("ours", "theirs", "changed")
        engine.runs.create(
            workflow_run(Action.CREATE, tenant, opened.project.workflows[name]) for name in names
        )
        engine.drain(threading.Event())
        opened.client(tenant).update_workflow({"workflowId": "changed", "sqlQuery": OTHER})
        # Made once for the file, before a test's own setting of the keyring holds.
        before = keyring.get_keyring()
        keyring.set_keyring(fail.Keyring())
        opened.credentials.put({"default": Credential("id", "secret", "token")})
        keyring.set_keyring(before)
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "w", symlinks=True))


def run(home: Path, *words: str, code: int = 0, says: str = "") -> Any:
    result = CliRunner().invoke(uninstall_app, [*words, "--home", str(home), "--json"], input=says)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return json.loads(result.stdout) if not code else None


def in_amc(home: Path) -> list[str]:
    with open_session(WorkspacePaths(home), SystemClock(), {}) as session:
        return sorted(w["workflowId"] for w in session.client(session.project.tenants["acme"]).workflows())


def listed(home: Path) -> set[str]:
    return {
        str(path.relative_to(home))
        for path in home.rglob("*")
        if path.is_file() and "sandbox" not in path.parts
    }


def test_a_dry_run_and_a_no_change_nothing(home: Path) -> None:
    before = listed(home)
    report = run(home, "--data", "--dry-run")
    assert {each["workflow"]: each["stays"] for each in report["workflows"]} == {
        "ours": "",
        "theirs": "AMC had it before amci",
        "changed": "somebody has changed it in AMC",
    }
    assert report["credentials"] == ["state/credentials.enc", "state/credentials.key"]
    assert report["data_files"] > 4
    run(home, "--data", code=1, says="n\n")
    assert listed(home) == before
    assert in_amc(home) == ["changed", "foreign", "ours", "theirs"]


def test_only_what_amci_deployed_goes_and_data_stay(home: Path) -> None:
    before = listed(home)
    run(home, "--yes")
    assert in_amc(home) == ["changed", "foreign", "theirs"]
    gone = before - listed(home)
    assert {"state/credentials.enc", "state/credentials.key"} <= gone
    assert not any(name.endswith((".parquet", ".csv", "amci.db", "catalog.db")) for name in gone)
    assert {each["workflow"]: each["stays"] for each in run(home, "--yes")["workflows"]}.get("ours") is None


def test_with_data_only_files_that_amci_did_not_make_are_left(home: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.parquet"
    outside.write_text("mine")
    (home / "stage" / "pre-stage" / "link.parquet").symlink_to(outside)
    run(home, "--data", "--yes")
    assert listed(home) == {*FILES, "stage/pre-stage/link.parquet"}
    assert not (home / "sandbox").exists()
    assert outside.read_text() == "mine"
