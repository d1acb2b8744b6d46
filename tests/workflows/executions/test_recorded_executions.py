from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from amci.kernel.config import AmcSettings
from amci.kernel.errors import NotRecorded
from amci.kernel.testing import FakeClock
from amci.sandbox.options import SandboxInstance, SandboxOptions
from amci.sandbox.service import Sandbox
from amci.tenants.credentials import Credential, MemoryCredentials
from amci.tenants.model import Tenant
from amci.workflows.amazon.fixture_transport import RecordTransport, ReplayTransport
from amci.workflows.amazon.fixtures import verify
from amci.workflows.amazon.scrub import Scrubber, known_ids
from amci.workflows.amazon.transport import InProcess
from amci.workflows.amc.client import AmcClient
from amci.workflows.amc.connections import Connections
from amci.workflows.amc.model import ExecutionRequest

ACME = Tenant(
    tenant="acme", instance_id="amcq1w2e3r4", advertiser_id="ENTITY1ABCDEF", marketplace_id="ATVPDKIKX0DER"
)
LOGIN = Credential(
    client_id="amzn1.application-oa2-client.planted",
    client_secret="planted",  # noqa: S106 - made up
    refresh_token="Atzr|planted",  # noqa: S106 - made up
)
SQL = "SELECT campaign, COUNT(1) AS n FROM dsp_impressions GROUP BY 1"
LATER = datetime(2027, 5, 5, tzinfo=UTC)


def scrubber() -> Scrubber:
    return Scrubber(known_ids([ACME]))


def seen(client: AmcClient, clock: FakeClock) -> list[Any]:
    """A workflow created, updated, executed, listed and fetched, through the real client."""
    found: list[Any] = [client.instance(ACME.instance_id).instance_id]
    found += [client.put_workflow({"workflowId": "reach", "sqlQuery": SQL}) for _ in range(2)]
    made = client.create_execution(ExecutionRequest(workflow_id="reach")).workflow_execution_id
    clock.turn(timedelta(minutes=1))
    found += [made, getattr(client.execution(made), "status", None)]
    found += [one.status for one in client.executions(clock.now() - timedelta(days=1))]
    downloads = client.downloads(made)
    for url in (*downloads.urls, *downloads.metadata_urls):
        content = io.BytesIO()
        client.fetch(url, content)
        found.append(content.getvalue())
    return found


def through(transport: httpx.BaseTransport, clock: FakeClock) -> list[Any]:
    connections = Connections(
        AmcSettings(requests_per_second=0),
        MemoryCredentials({"default": LOGIN}),
        clock,
        transport=transport,
        pause=clock.turn,
    )
    try:
        return seen(connections.client(ACME), clock)
    finally:
        connections.close()


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Any]]:
    """What was recorded of the sandbox, and what the client saw of it."""
    folder, clock = tmp_path_factory.mktemp("amc"), FakeClock()
    instance = SandboxInstance(
        instance_id=ACME.instance_id,
        entity_id=ACME.advertiser_id,
        marketplace_id=ACME.marketplace_id,
        name="Acme",
    )
    sandbox = Sandbox(folder / "sandbox", clock, SandboxOptions(instances=(instance,)))
    try:
        path = folder / "nightly.yaml"
        return path, through(RecordTransport(InProcess(sandbox.respond), path, scrubber(), clock), clock)
    finally:
        sandbox.close()


def test_the_client_sees_in_a_replay_what_it_saw_while_recording(recorded: tuple[Path, list[Any]]) -> None:
    path, found = recorded
    assert through(ReplayTransport(path, scrubber(), "any_order"), FakeClock(LATER)) == found
    assert through(ReplayTransport(path, scrubber(), "strict"), FakeClock()) == found
    assert found[1:3] == ["CREATED", "UPDATED"]


def test_what_the_client_recorded_is_clean(recorded: tuple[Path, list[Any]]) -> None:
    path, _ = recorded
    assert verify(path, scrubber()) == []
    text = path.read_text()
    assert not [word for word in ("planted", ACME.instance_id, ACME.advertiser_id) if word in text]


def test_strictly_other_times_are_other_requests(recorded: tuple[Path, list[Any]]) -> None:
    path, _ = recorded
    with pytest.raises(NotRecorded, match=r"next in it is GET \S*minCreationTime=2026-10-31T"):
        through(ReplayTransport(path, scrubber(), "strict"), FakeClock(LATER))
