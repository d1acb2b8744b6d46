"""Do tenants share what they may share, and nothing else?"""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from amci.kernel.config import AmcSettings
from amci.kernel.errors import AuthError, Unavailable
from amci.kernel.state import State
from amci.kernel.testing import FakeClock
from amci.tenants.credentials import Credential, MemoryCredentials
from amci.tenants.model import Tenant
from amci.workflows.amazon.circuit_breaker import CircuitOpen, CircuitState, read_circuits, write_circuit
from amci.workflows.amazon.transport import InProcess
from amci.workflows.amc.connections import Connections

OTHER = Tenant(tenant="other", instance_id="amcother123", advertiser_id="E2", marketplace_id="M", region="EU")


class Network(httpx.BaseTransport):
    """Answers everything with an empty list, or not at all."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.urls: list[str] = []
        self.is_closed = False

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.urls.append(f"{request.method} {request.url}")
        if request.url.path.endswith("/token"):
            return httpx.Response(200, json={"access_token": "Atza|t", "expires_in": 3600})
        return httpx.Response(self.status, json={"workflows": []})

    def close(self) -> None:
        self.is_closed = True


def connections(clock: FakeClock, network: httpx.BaseTransport, **more: Any) -> Connections:
    credentials = {"default": Credential("c", "s", "r"), "agency": Credential("c2", "s2", "r2")}
    settings = AmcSettings(attempts=1, **{"requests_per_second": 0} | more.pop("settings", {}))
    return Connections(settings, MemoryCredentials(credentials), clock, transport=network, **more)


@pytest.mark.parametrize(
    ("region", "host", "token"),
    [
        ("NA", "advertising-api.amazon.com", "https://api.amazon.com/auth/o2/token"),
        ("EU", "advertising-api-eu.amazon.com", "https://api.amazon.co.uk/auth/o2/token"),
        ("FE", "advertising-api-fe.amazon.com", "https://api.amazon.co.jp/auth/o2/token"),
    ],
)
def test_each_region_has_its_hosts(
    clock: FakeClock, tenant: Tenant, region: str, host: str, token: str
) -> None:
    network = Network()
    connections(clock, network).client(tenant.model_copy(update={"region": region})).workflows()
    assert network.urls == [
        f"POST {token}",
        f"GET https://{host}/amc/reporting/amcabc12345/workflows?limit=100",
    ]


def test_another_address_stands_for_all_of_amazon(clock: FakeClock) -> None:
    network = Network()
    connections(clock, network, base_url="http://127.0.0.1:8790/").client(OTHER).workflows()
    assert network.urls == [
        "POST http://127.0.0.1:8790/auth/o2/token",
        "GET http://127.0.0.1:8790/amc/reporting/amcother123/workflows?limit=100",
    ]


def test_a_tenant_keeps_its_client_until_its_ids_change(clock: FakeClock, tenant: Tenant) -> None:
    opened = connections(clock, Network())
    assert opened.client(tenant) is opened.client(tenant.model_copy(update={"name": "Acme"}))
    assert opened.client(tenant) is not opened.client(tenant.model_copy(update={"instance_id": "amc2"}))


def test_threads_get_one_client_and_one_login(clock: FakeClock, tenant: Tenant) -> None:
    network = Network()
    opened = connections(clock, network)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: opened.client(tenant), range(32)))
        list(pool.map(lambda client: client.workflows(), found))
    assert len(set(map(id, found))) == 1
    assert sum(url.startswith("POST") for url in network.urls) == 1
    assert len(network.urls) == 33


def test_a_login_that_is_missing_is_said(clock: FakeClock, tenant: Tenant) -> None:
    client = connections(clock, Network()).client(tenant.model_copy(update={"auth_id": "nobody"}))
    with pytest.raises(AuthError, match="nobody"):
        client.workflows()


def test_one_silent_instance_does_not_rest_the_others(clock: FakeClock, tenant: Tenant) -> None:
    network = Network(503)
    opened = connections(clock, network, settings={"breaker_failures": 2})
    for _ in range(2):
        with pytest.raises(Unavailable, match="503"):
            opened.client(tenant).workflows()
    with pytest.raises(CircuitOpen):
        opened.client(tenant).workflows()
    network.status = 200
    assert opened.client(OTHER).workflows() == []
    assert [(c.instance_id, c.state) for c in opened.circuits()] == [
        ("amcabc12345", CircuitState.OPEN),
        ("amcother123", CircuitState.CLOSED),
    ]


def test_a_circuit_outlives_its_process(clock: FakeClock, tenant: Tenant, tmp_path: Path) -> None:
    with State.open(tmp_path / "state.db", clock) as state:

        def on_circuit(circuit: Any) -> None:
            write_circuit(state, circuit)

        settings = {"breaker_failures": 1}
        first = connections(clock, Network(503), settings=settings, on_circuit=on_circuit)
        with pytest.raises(Unavailable):
            first.client(tenant).workflows()

        network = Network()
        second = connections(
            clock, network, settings=settings, on_circuit=on_circuit, circuits=read_circuits(state)
        )
        with pytest.raises(CircuitOpen):
            second.client(tenant).workflows()
        assert network.urls == []
        clock.turn(timedelta(seconds=30))
        assert second.client(tenant).workflows() == []
        assert [c.state for c in read_circuits(state)] == [CircuitState.CLOSED]


@pytest.mark.parametrize(("mode", "waits"), [("live", 4), ("record", 4), ("replay", 0), ("sandbox", 0)])
def test_only_amazon_is_spared(
    clock: FakeClock, tenant: Tenant, pauses: list[timedelta], mode: str, waits: int
) -> None:
    settings = {"requests_per_second": 2, "mode": mode}
    opened = connections(clock, Network(), settings=settings, pause=pauses.append)
    for _ in range(8):
        opened.client(tenant).workflows()
    assert len(pauses) == waits


def test_closing_closes_the_network_once_and_for_all(clock: FakeClock, tenant: Tenant) -> None:
    network = Network()
    opened = connections(clock, network)
    client = opened.client(tenant)
    client.workflows()
    assert not network.is_closed
    opened.close()
    assert network.is_closed


def test_a_download_is_streamed_in_process_too(clock: FakeClock, tenant: Tenant) -> None:
    def respond(*_: object) -> tuple[int, dict[str, str], bytes]:
        return 200, {"Content-Type": "text/csv"}, b"a\n1\n"

    out = io.BytesIO()
    opened = connections(clock, InProcess(respond))
    assert opened.client(tenant).fetch("https://bucket.example/x", out) == 4
    assert out.getvalue() == b"a\n1\n"


def test_a_read_answer_is_fetched_as_well(clock: FakeClock, tenant: Tenant) -> None:
    assert connections(clock, Network()).client(tenant).fetch("https://x.example/y", io.BytesIO()) > 0
