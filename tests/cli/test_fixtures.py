from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

import pytest
from typer.testing import CliRunner

from amci.app import amc_connection, project
from amci.cli.fixtures import fixtures_app
from amci.kernel.errors import NotFound
from amci.kernel.testing import FakeClock
from amci.kernel.workspace import WorkspacePaths
from amci.tenants.credentials import Credential, CredentialStore
from amci.workflows.amazon.transport import InProcess

FIXTURE = """\
format: 1
recorded_at: '2026-01-01T00:00:00.000000Z'
amci: 0.1.0
known: {acme.instance_id: amcinstance1}
exchanges:
- request: {method: GET, host: api, path: /amc/reporting/amcinstance1/workflows, query: {limit: '100'}}
  response:
    status: 200
    json:
      workflows: []
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "config" / "tenants").mkdir(parents=True)
    (tmp_path / "amci.yaml").write_text("name: test\n")
    (tmp_path / "config" / "tenants" / "acme.yaml").write_text(
        "tenant: acme\ninstance_id: amcxyz98765\nadvertiser_id: ENTITY3QX7KP\nmarketplace_id: ATVPDKIKX0DER\n"
    )
    (tmp_path / "fixtures").mkdir()
    (tmp_path / "fixtures" / "nightly.yaml").write_text(FIXTURE)
    return tmp_path


def amci(home: Path, *arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(fixtures_app, [*arguments, "--home", str(home)])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, done.output
    return done.output


def test_list_shows_what_is_recorded_and_what_is_damaged(home: Path) -> None:
    (home / "fixtures" / "weekly.yaml").write_text("format: 3")
    first, second = json.loads(amci(home, "list", "--json"))
    assert (first["scenario"], first["exchanges"], first["amci"]) == ("nightly", 1, "0.1.0")
    assert second["scenario"] == "weekly"
    assert "damaged: input should be 1" in amci(home, "list")


def test_list_without_fixtures_says_how_to_record_one(tmp_path: Path) -> None:
    (tmp_path / "amci.yaml").write_text("name: test\n")
    assert "mode: record" in amci(tmp_path, "list")


def test_show_has_a_line_for_each_exchange_or_one_exchange_whole(home: Path) -> None:
    assert "GET /amc/reporting/amcinstance1/workflows?limit=100     200     16" in amci(
        home, "show", "nightly"
    )
    assert "  json:\n    workflows: []\n" in amci(home, "show", "nightly", "--exchange", "1")
    with pytest.raises(NotFound, match="no exchange 2"):
        amci(home, "show", "nightly", "--exchange", "2")
    with pytest.raises(NotFound, match="'weekly'"):
        amci(home, "show", "weekly")


def test_verify_ends_with_1_where_an_id_of_a_tenant_is_left(home: Path) -> None:
    assert amci(home, "verify") == "1 fixtures are whole and clean\n"
    (home / "fixtures" / "weekly.yaml").write_text(FIXTURE.replace("limit", "amcxyz98765"))
    assert "weekly    an id of this project is still there in plain" in amci(home, "verify", code=1)
    assert amci(home, "verify", "nightly") == "1 fixtures are whole and clean\n"
    with pytest.raises(NotFound, match="'monthly'"):
        amci(home, "verify", "monthly")


CLIENT = "amzn1.application-oa2-client.0f1e2d3c4b5a"


def test_client_ids_are_scrubbed_and_looked_for(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMCI_KEY", "k" * 43 + "=")
    (home / "amci.yaml").write_text("name: test\namc: {mode: record, scenario: own}\n")
    workspace = WorkspacePaths(home)
    store = CredentialStore(workspace, {"AMCI_KEY": "k" * 43 + "="}, FakeClock())
    store.put({"default": Credential(CLIENT, "secret", "refresh")})
    body = json.dumps(
        {"workflows": [], "of": f"{CLIENT}, {CLIENT.upper()}", CLIENT: 1, "access_token": "Atza|x"}
    )
    monkeypatch.setattr(amc_connection, "network", lambda: InProcess(lambda *_: (200, {}, body.encode())))
    with ExitStack() as closing:
        loaded = project.load(workspace, {})
        connections = amc_connection.amc_connection(
            workspace, loaded, FakeClock(), lambda: store, (), print, closing
        )
        connections.client(loaded.tenants["acme"]).workflows()
    recorded = (home / "fixtures" / "own.yaml").read_text()
    assert "default.client_id: client1" in recorded
    assert "of: client1, client1" in recorded
    assert CLIENT not in recorded.lower()
    assert amci(home, "verify") == "2 fixtures are whole and clean\n"
    (home / "fixtures" / "own.yaml").write_text(recorded.replace("of: client1", f"of: {CLIENT.upper()}"))
    assert "own       an id of this project is still there in plain" in amci(home, "verify", code=1)
