"""Do the client and the sandbox mean the same by AMC's administration and schedules (amc-api 2.1, 2.2)?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from amci.kernel.errors import Refused
from amci.kernel.testing import FakeClock
from amci.sandbox.faults import InjectedFault
from amci.sandbox.options import SandboxInstance, SandboxOptions
from amci.sandbox.service import Sandbox
from amci.tenants.model import Tenant
from amci.workflows.amazon.transport import InProcess
from amci.workflows.amc.client import AmcClient
from amci.workflows.amc.model import Advertiser, ExecutionRequest, ExecutionStatus

MINUTE = timedelta(minutes=1)
NEW = {"instanceName": "Summer 2026"}
DAILY = {"scheduleId": "daily", "workflowId": "reach", "aggregationPeriod": "Daily", "aggregationHourUtc": 7}
SONAR = Advertiser(advertiser_id="SONAR", name="Sonar", type="SAS", marketplace_id="ATVPDKIKX0DER")


@pytest.fixture
def sandbox(tmp_path: Path, clock: FakeClock, tenant: Tenant) -> Iterator[Sandbox]:
    known = SandboxInstance(
        instance_id=tenant.instance_id,
        entity_id=tenant.advertiser_id,
        marketplace_id=tenant.marketplace_id,
        name="acme",
    )
    options = SandboxOptions(
        instances=(known,), creating=3 * MINUTE, updating=2 * MINUTE, scale=0.001, days=3
    )
    sandbox = Sandbox(tmp_path, clock, options)
    yield sandbox
    sandbox.close()


@pytest.fixture
def client(sandbox: Sandbox, connect: Callable[..., AmcClient], clock: FakeClock) -> AmcClient:
    client: AmcClient = connect(transport=InProcess(sandbox.respond))
    client.put_workflow({"workflowId": "reach", "sqlQuery": "SELECT 1 AS a"})
    return client


def test_an_instance_lives(client: AmcClient, clock: FakeClock) -> None:
    instance_id = client.create_instance(NEW).instance_id
    seen = []
    for _ in range(4):
        seen.append(client.instance(instance_id).creation_status)
        clock.turn(MINUTE)
    assert seen == ["REQUESTED", "SUBMITTED", "IN_PROGRESS", "COMPLETED"]
    changed = client.update_instance(instance_id, {"instanceName": "Winter 2026"})
    assert (changed.name, changed.instance_id) == ("Winter 2026", instance_id)
    assert client.update_customer_aws_account(instance_id, "1" * 12, "own-bucket").startswith("https://")
    assert [i.instance_id for i in client.instances()] == ["amcabc12345", instance_id]
    assert [client.delete_instance(instance_id), client.delete_instance(instance_id)] == [True, False]
    with pytest.raises(Refused) as caught:
        client.instance(instance_id)
    assert caught.value.status == 404


@pytest.mark.parametrize("kind", ["no_answer_after", "no_connection", "error"])
def test_an_instance_is_made_once_whatever_happens_on_the_way(
    client: AmcClient, sandbox: Sandbox, kind: Any
) -> None:
    sandbox.faults.add(InjectedFault(kind, method="POST", path="/amc/instances"))
    made = client.create_instance(NEW)
    assert [i.instance_id for i in client.instances()] == ["amcabc12345", made.instance_id]


def test_advertisers_come_and_go_one_update_at_a_time(client: AmcClient, clock: FakeClock) -> None:
    first = client.advertisers()
    assert client.start_advertiser_update([SONAR], first[:1])["status"] == "PENDING"
    with pytest.raises(Refused, match="has an open advertiser update"):
        client.start_advertiser_update([SONAR])
    clock.turn(2 * MINUTE)
    update = client.advertiser_update(0)
    assert update
    assert update["status"] == "COMPLETED"
    ids = {advertiser.advertiser_id for advertiser in client.advertisers()}
    assert ids == {advertiser.advertiser_id for advertiser in first[1:]} | {"SONAR"}
    assert client.start_advertiser_update([SONAR])["updateId"] == 1
    clock.turn(2 * MINUTE)
    assert [u["status"] for u in client.advertiser_updates()] == ["COMPLETED", "REJECTED"]


def test_a_schedule_lives(client: AmcClient) -> None:
    client.create_schedule(DAILY)
    with pytest.raises(Refused, match="Schedule with ID daily already exists"):
        client.create_schedule(DAILY)
    client.update_schedule(DAILY | {"aggregationHourUtc": 9})
    found = client.schedule("daily")
    assert found
    assert found["aggregationHourUtc"] == 9
    assert [client.delete_schedule("daily"), client.delete_schedule("daily")] == [True, False]
    assert client.schedule("daily") is None


def test_an_execution_is_forgotten(client: AmcClient) -> None:
    execution_id = client.create_execution(ExecutionRequest(workflow_id="reach")).workflow_execution_id
    found = client.execution(execution_id)
    assert found
    assert found.status is ExecutionStatus.SUCCEEDED
    assert [client.delete_execution(execution_id), client.delete_execution(execution_id)] == [True, False]
    assert client.execution(execution_id) is None


def test_data_sources_one_by_one(client: AmcClient) -> None:
    found = client.data_source("dsp_clicks")
    assert found in client.data_sources()
    assert client.data_source("nothing") is None


def test_a_collaboration_is_there_where_the_instance_was_made_with_one(
    client: AmcClient, connect: Callable[..., AmcClient], sandbox: Sandbox, tenant: Tenant, clock: FakeClock
) -> None:
    assert client.collaboration() is None
    instance_id = client.create_instance(NEW | {"acrBacked": True}).instance_id
    clock.turn(3 * MINUTE)
    other = connect(
        tenant.model_copy(update={"instance_id": instance_id}), transport=InProcess(sandbox.respond)
    )
    found = other.collaboration()
    assert found
    assert found["status"] == "ACTIVE"
    assert (other.id_mapping_tables(), other.id_namespaces()) == ([], [])
