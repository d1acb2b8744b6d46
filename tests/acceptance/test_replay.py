"""What was recorded of a served AMC is replayed without it, and ends in the same lake."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from amci.cli.app import app
from amci.kernel.clock import SystemClock
from amci.sandbox.options import SandboxInstance, SandboxOptions
from amci.sandbox.rest import Server
from amci.sandbox.service import Sandbox

ROOMY = 60  # seconds after which a process that hangs is given up
TENANTS = ("acme", "bolt")
MARKETPLACE = "ATVPDKIKX0DER"
SQL = "SELECT campaign, SUM(impressions) AS impressions FROM dsp_impressions GROUP BY 1"
WINDOW = ["--window", "2026-10-20T00:00:00..2026-10-23T00:00:00"]
#: What is asked for, in this order, while recording and again in replay.
ASKED = (
    ["apply"],
    ["exec", "run", "reach", "--all", "--wait"],
    ["exec", "run", "shown", "--tenant", "acme", *WINDOW, "--param", "least=40", "--wait"],
    ["exec", "run", "look", "--sql", "look.sql", "--tenant", "bolt", *WINDOW, "--wait"],
    ["exec", "backfill", "reach", "-t", "bolt", "--from", "2026-10-20", "--to", "2026-10-23", "--wait"],
)


def here(site: Any, *arguments: str) -> Result:
    """The command in this process, in the workspace."""
    with contextlib.chdir(site.workspace.home):
        return CliRunner().invoke(app, arguments, catch_exceptions=False)


def amci(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, in the workspace."""
    return subprocess.run(
        [sys.executable, "-m", "amci", *arguments],
        cwd=home,
        env={name: value for name, value in os.environ.items() if not name.startswith("AMCI_")},
        capture_output=True,
        text=True,
        timeout=ROOMY,
        check=False,
    )


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A served sandbox whose events are always the same; gone after the recording."""
    instances = tuple(
        SandboxInstance(
            instance_id=f"amc{name}001",
            entity_id=f"ENTITY{name.upper()}9",
            marketplace_id=MARKETPLACE,
            name=name,
        )
        for name in TENANTS
    )
    options = SandboxOptions(instances=instances, anchor=date(2026, 10, 25), days=8, scale=0.003)
    sandbox = Sandbox(tmp_path_factory.mktemp("amc"), SystemClock(), options)
    with Server(sandbox) as server:
        yield server.url
    sandbox.close()


def settings(site: Any, amc: str) -> None:
    site.settings(f"amc: {{scenario: nightly, poll_first: 0s, poll_longest: 50ms, {amc}}}\n")


def prepared(site: Any) -> None:
    """Two tenants and two workflows, one of them with a parameter."""
    for name in TENANTS:
        ids = f"instance_id: amc{name}001\nadvertiser_id: ENTITY{name.upper()}9\nmarketplace_id: {MARKETPLACE}\n"
        site.configure(f"tenants/{name}.yaml", f"tenant: {name}\n{ids}")
    window = "window: {type: EXPLICIT, start: '2026-10-20T00:00:00', end: '2026-10-24T00:00:00'}\n"
    site.configure("workflows/reach.yaml", f"{window}sql: {SQL}\n")
    site.configure(
        "workflows/shown.yaml",
        f"{window}sql: {SQL} HAVING SUM(impressions) > CUSTOM_PARAMETER('least')\n"
        "input_parameters:\n  - {name: least, data_type: LONG, default_value: 0}\n",
    )
    (site.workspace.home / "look.sql").write_text(SQL.replace("campaign", "advertiser"), encoding="utf-8")


@dataclass(frozen=True)
class Lake:
    """All that is in a lake, without our own numbers and the moments of loading."""

    tables: dict[str, list[tuple[Any, ...]]]
    ledger: list[tuple[Any, ...]]


def lake(site: Any) -> Lake:
    tables = {
        name: site.query(f"DESCRIBE {name}")
        + site.query(
            f"SELECT o.workflow_execution_id, t.* EXCLUDE (_object_id) FROM {name} t"
            " JOIN amci.objects o ON o.object_id = t._object_id ORDER BY ALL"
        )
        for name in site.tables()
    }
    ledger = site.query(
        "SELECT * EXCLUDE (object_id, run_id, modified_at, loaded_at) FROM amci.objects ORDER BY ALL"
    )
    return Lake(tables, ledger)


@pytest.fixture(scope="module")
def recorded(url: str, site_of: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A workspace that was recorded in, beside `before`, as it was before anything ran."""
    folder = tmp_path_factory.mktemp("recorded")
    site = site_of(folder / "recorded")
    settings(site, f"mode: record, sandbox: {{url: '{url}'}}")
    prepared(site)
    shutil.copytree(site.workspace.home, folder / "before")
    for arguments in ASKED:
        assert here(site, *arguments).exit_code == 0
    return site


@pytest.fixture
def replaying(recorded: Any, site_of: Any, tmp_path: Path) -> Any:
    """The workspace as it was before anything ran, and the recording; AMC's address is one of nobody's."""
    home = tmp_path / "replaying"
    shutil.copytree(recorded.workspace.home.parent / "before", home)
    shutil.copytree(recorded.workspace.fixtures, home / "fixtures")
    site = site_of(home)
    settings(site, "mode: replay, sandbox: {url: 'http://amc.invalid'}")
    return site


def test_a_replay_ends_in_the_lake_that_was_recorded(recorded: Any, replaying: Any) -> None:
    for arguments in ASKED:
        done = amci(replaying.workspace.home, *arguments)
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
    before, after = lake(recorded), lake(replaying)
    assert after == before
    assert len(after.ledger) == 7
    assert len(after.tables) == 4
    assert all(len(rows) > 7 for rows in after.tables.values())
    assert not (replaying.workspace.sandbox).exists()


def test_the_recording_holds_no_id_and_no_secret(recorded: Any) -> None:
    assert here(recorded, "fixtures", "verify", "nightly").exit_code == 0
    text = (recorded.workspace.fixtures / "nightly.yaml").read_text(encoding="utf-8")
    for name in TENANTS:
        assert f"amc{name}001" not in text
        assert f"ENTITY{name.upper()}9" not in text
    assert "127.0.0.1" not in text
    assert "Signature=" not in text


@pytest.mark.parametrize(
    ("arguments", "nearest"),
    [
        (["shown", "--tenant", "acme", *WINDOW, "--param", "least=41"], "with another parameterValues"),
        (["look", "--sql", "other.sql", "--tenant", "bolt", *WINDOW], "with another workflow"),
        (["shown", "--tenant", "bolt", *WINDOW], "with another parameterValues, workflowId"),
    ],
    ids=["value", "SQL", "workflow"],
)
def test_what_was_not_recorded_fails_and_says_what_is_nearest(
    replaying: Any, arguments: list[str], nearest: str
) -> None:
    (replaying.workspace.home / "other.sql").write_text(SQL, encoding="utf-8")
    done = here(replaying, "exec", "run", *arguments, "--wait", "--json")
    assert done.exit_code == 3, done.output
    [run] = json.loads(done.stdout)
    assert (run["status"], run["key"]) == ("FAILED", None)
    assert "the fixture 'nightly' has no answer to POST /amc/reporting/" in run["reason"]
    assert nearest in run["reason"]
    assert replaying.tables() == []
