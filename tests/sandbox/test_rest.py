"""The sandbox over a real socket, as other people's clients meet it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from amci.cli.app import app
from amci.kernel.errors import UsageError
from amci.kernel.testing import FakeClock
from amci.sandbox.faults import InjectedFault
from amci.sandbox.options import SandboxOptions
from amci.sandbox.rest import Server
from amci.sandbox.service import Sandbox

FORM = {"grant_type": "refresh_token", "refresh_token": "r", "client_id": "c", "client_secret": "s"}
REPORTING = "/amc/reporting/amcsandbox1"


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    sandbox = Sandbox(tmp_path / "sandbox", FakeClock(), SandboxOptions(scale=0.001, days=5))
    yield sandbox
    sandbox.close()


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[httpx.Client]:
    with Server(sandbox) as server, httpx.Client(base_url=server.url, timeout=60) as client:
        token = client.post("/auth/o2/token", data=FORM).json()["access_token"]
        client.headers.update(
            {
                "Authorization": f"Bearer {token}",
                "Amazon-Advertising-API-ClientId": "c",
                "Amazon-Advertising-API-AdvertiserId": "ENTITYSANDBOX",
                "Amazon-Advertising-API-MarketplaceId": "ATVPDKIKX0DER",
            }
        )
        yield client


def test_a_workflow_goes_from_its_definition_to_its_result(client: httpx.Client) -> None:
    sql = "SELECT campaign, SUM(impressions) AS impressions FROM dsp_impressions GROUP BY 1"
    assert client.post(f"{REPORTING}/workflows", json={"workflowId": "w", "sqlQuery": sql}).json() == {}
    made = client.post(f"{REPORTING}/workflowExecutions", json={"workflowId": "w"}).json()
    path = f"{REPORTING}/workflowExecutions/{made['workflowExecutionId']}"
    assert client.get(path).json()["status"] == "SUCCEEDED"
    links = client.get(f"{path}/downloadUrls").json()
    fetched = httpx.get(links["downloadUrls"][0])
    assert fetched.headers["content-type"].startswith("text/csv")
    assert fetched.text.splitlines()[0] == "campaign,impressions"
    assert client.delete(f"{REPORTING}/workflows/w").json() == {}


def test_an_answer_has_amazons_headers_and_errors_their_status(client: httpx.Client) -> None:
    answer = client.get(f"{REPORTING}/workflows/nothing")
    assert (answer.status_code, answer.json()["code"]) == (404, "404")
    assert len(answer.headers["x-amz-rid"]) == 20


def test_no_answer_means_that_none_comes(client: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.faults.add(InjectedFault("no_answer_after", "POST"))
    with pytest.raises(httpx.ReadTimeout):
        client.post(f"{REPORTING}/workflowExecutions", json={"sqlQuery": "SELECT 1 AS a"}, timeout=0.2)
    listed = client.get(f"{REPORTING}/workflowExecutions?minCreationTime=2026-01-01T00:00:00").json()
    assert len(listed["executions"]) == 1


def test_many_may_ask_at_one_time(client: httpx.Client) -> None:
    def one(_: int) -> str:
        made = client.post(f"{REPORTING}/workflowExecutions", json={"sqlQuery": "SELECT 1 AS a"}).json()
        path, status = f"{REPORTING}/workflowExecutions/{made['workflowExecutionId']}", "RUNNING"
        # somebody else may be running the one query they all have
        while status == "RUNNING":
            status = client.get(path).json()["status"]
        return status

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(one, range(40))) == {"SUCCEEDED"}


@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Origin": "null"}],
)
def test_a_web_page_of_somebody_else_is_refused(client: httpx.Client, headers: dict[str, str]) -> None:
    answer = client.get(f"{REPORTING}/workflows", headers=headers)
    assert answer.status_code == 403
    assert set(answer.json()) == {"code", "details"} or "message" in answer.json()
    own = {"Origin": str(client.base_url).rstrip("/")}
    assert client.get(f"{REPORTING}/workflows", headers=own).status_code == 200


def test_an_origin_that_cannot_be_read_is_a_bad_request(client: httpx.Client) -> None:
    assert client.get(f"{REPORTING}/workflows", headers={"Origin": "http://[::1"}).status_code == 400


@pytest.mark.parametrize("path", [f"{REPORTING}/workflows", "/auth/o2/token", "/nowhere"])
def test_a_body_is_limited_before_anything_else_is_asked(sandbox: Sandbox, path: str) -> None:
    """Without a token, and in pieces of which nobody knows how many will come."""
    sent = 0

    def pieces() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(1000):
            sent += 1
            yield b" " * 2**20

    with Server(sandbox) as server, httpx.Client(base_url=server.url) as stranger:
        try:
            answer = stranger.post(path, content=pieces())
        except httpx.WriteError:
            pass  # the server closed the connection while it was being written to
        else:
            assert answer.status_code == 413
            assert answer.headers["connection"] == "close"
    assert sent < 100


def test_a_kept_connection_does_not_wait_for_acknowledgements(sandbox: Sandbox) -> None:
    with Server(sandbox) as server:
        assert server.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_port_that_is_taken_is_said_to_be(sandbox: Sandbox) -> None:
    with Server(sandbox) as first:
        port = int(first.url.rpartition(":")[2])
        with pytest.raises(UsageError, match="cannot listen on"), Server(sandbox, port=port):
            pass


def _served(tmp_path: Path, *options: str) -> subprocess.Popen[str]:
    script = "from amci.cli.sandbox import sandbox_app; import typer; a = typer.Typer();"
    script += "a.add_typer(sandbox_app, name='sandbox'); a()"
    return subprocess.Popen(
        [sys.executable, "-c", script, "sandbox", "serve", "--port", "0", "--json", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


def _said(process: subprocess.Popen[str]) -> Any:
    """The JSON it prints first."""
    assert process.stdout
    text = ""
    while not text.endswith("\n}\n"):
        line = process.stdout.readline()
        assert line, process.stderr.read() if process.stderr else ""
        text += line
    return json.loads(text)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_says_where_it_answers_and_ends_when_it_is_asked_to(tmp_path: Path, number: int) -> None:
    with _served(tmp_path, "--directory", str(tmp_path / "kept"), "--fault", "error,status=503") as process:
        about = _said(process)
        first = httpx.post(about["environment"]["AMC_TOKEN_URL"], data=FORM)
        second = httpx.post(about["environment"]["AMC_TOKEN_URL"], data=FORM)
        process.send_signal(number)
        assert process.wait(timeout=20) == 0
    assert (first.status_code, second.status_code) == (503, 200)
    assert about["instances"][0]["instance_id"] == about["environment"]["AMC_INSTANCE_ID"] == "amcsandbox1"
    assert (tmp_path / "kept" / "sandbox.db").exists()


def test_in_a_workspace_it_answers_for_the_instances_of_its_tenants(site: Any) -> None:
    site.configure(
        "tenants/acme.yaml",
        "tenant: acme\ninstance_id: amcacme\nadvertiser_id: ENTITYACME\nmarketplace_id: ATVPDKIKX0DER\n",
    )
    with _served(site.workspace.home) as process:
        about = _said(process)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0
    assert [entry["instance_id"] for entry in about["instances"]] == ["amcacme"]
    assert (site.workspace.sandbox / "sandbox.db").exists()


def test_opening_the_sandbox_does_not_import_duckdb(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from amci.kernel.clock import SystemClock;"
        "from amci.sandbox.service import Sandbox; from amci.sandbox.rest import Server;"
        f"s = Sandbox(Path({str(tmp_path)!r}), SystemClock()); Server(s).__enter__().__exit__(None, None, None);"
        "s.close(); print({'duckdb', 'sqlglot', 'pyarrow'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_a_world_without_people_is_refused() -> None:
    refused = CliRunner().invoke(app, ["sandbox", "serve", "--scale", "0"])
    assert isinstance(refused.exception, UsageError)
    assert str(refused.exception) == "--scale 0 makes no people"
