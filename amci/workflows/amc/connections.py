"""The connections to AMC of one process: HTTP clients, logins, limits and circuits, shared by all threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta

import httpx

from amci.kernel import clock as clocks
from amci.kernel.clock import Clock
from amci.kernel.config import AmcSettings
from amci.kernel.exchange import bounded
from amci.kernel.version import __version__
from amci.tenants.credentials import CredentialSource
from amci.tenants.model import Region, Tenant
from amci.workflows.amazon.circuit_breaker import Circuit, CircuitBreaker
from amci.workflows.amazon.downloader import Downloader
from amci.workflows.amazon.kept_connections import KeptConnections, has_proxy
from amci.workflows.amazon.login import TOKEN_URLS, LwaAuth
from amci.workflows.amazon.rate_limiter import Pause, RateLimiter
from amci.workflows.amazon.retry import RequestRetry
from amci.workflows.amazon.sender import RequestSender, SignedConnections
from amci.workflows.amazon.transport import POOL, Transport, bound_answer, trusted
from amci.workflows.amc.client import AmcClient

#: Amazon's hosts by region (amc-api 1.2).
HOSTS: Mapping[Region, str] = {
    "NA": "https://advertising-api.amazon.com",
    "EU": "https://advertising-api-eu.amazon.com",
    "FE": "https://advertising-api-fe.amazon.com",
}
_TOKEN_PATH = "/auth/o2/token"  # noqa: S105 - an address, not a token
_USER_AGENT = f"amci/{__version__}"


class _Shared(Transport):
    """One transport under several clients: closing one of them leaves it open."""

    def __init__(self, inner: Transport) -> None:
        self._inner = inner

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._inner.handle_request(request)


def _wait(for_: timedelta) -> None:
    clocks.pause(for_.total_seconds())


def _ignore(_: Circuit) -> None:
    """No one listens to changes of circuits."""


class Connections:
    """Makes the client of a tenant; one per process."""

    def __init__(
        self,
        settings: AmcSettings,
        source: CredentialSource,
        clock: Clock,
        *,
        transport: Transport | None = None,
        base_url: str | None = None,
        circuits: Iterable[Circuit] = (),
        on_circuit: Callable[[Circuit], None] = _ignore,
        pause: Pause = _wait,
    ) -> None:
        """`transport` stands for the network and is closed with this; `base_url` stands for Amazon's hosts.

        `circuits` are those an earlier process left; `on_circuit` is told when one changes its state.
        """
        self._settings = settings
        self._source = source
        self._clock = clock
        self._transport = transport
        self._base_url = base_url
        self._on_circuit = on_circuit
        self._pause = pause
        self._lock = threading.Lock()
        self._retry = RequestRetry(attempts=settings.attempts, pauses=settings.timeout, pause=pause)
        #: None if something stands between amci and the network, which httpx knows how to treat.
        self._kept = (
            None
            if transport or has_proxy()
            else KeptConnections(_USER_AGENT, settings.timeout.total_seconds(), trusted)
        )
        self._plain = self._http(follow_redirects=True)
        self._login = self._http(bound_answer)
        self._signing: dict[tuple[str, Region], tuple[httpx.Client, SignedConnections | None]] = {}
        self._limits: dict[str, RateLimiter] = {}
        self._breakers = {circuit.instance_id: self._breaker(circuit) for circuit in circuits}
        self._clients: dict[tuple[str, ...], AmcClient] = {}

    def client(self, tenant: Tenant) -> AmcClient:
        """The client for a tenant; the same one as long as the tenant's ids are the same."""
        ids = (tenant.instance_id, tenant.advertiser_id, tenant.marketplace_id)
        key = (tenant.tenant, tenant.region, tenant.auth_id, *ids)
        with self._lock:
            if key not in self._clients:
                self._clients[key] = self._client(tenant)
            return self._clients[key]

    def circuits(self) -> list[Circuit]:
        """The circuits of all instances that were asked, by instance."""
        with self._lock:
            return sorted((b.circuit for b in self._breakers.values()), key=lambda c: c.instance_id)

    def close(self) -> None:
        """Close all connections; the clients cannot be used afterwards."""
        with self._lock:
            for http in (self._plain, self._login, *(http for http, _ in self._signing.values())):
                http.close()
            if self._kept:
                self._kept.close()
            if self._transport:
                self._transport.close()

    def _client(self, tenant: Tenant) -> AmcClient:
        # What is asked before there is an instance concerns the account, or the login alone.
        instance_id = tenant.instance_id or tenant.advertiser_id or tenant.auth_id
        if instance_id not in self._limits:
            per_second = self._settings.requests_per_second if self._is_amazon() else 0.0
            self._limits[instance_id] = RateLimiter(per_second, self._clock, self._pause)
        if instance_id not in self._breakers:
            self._breakers[instance_id] = self._breaker(Circuit(instance_id=instance_id))
        signed, plain = self._signed(tenant.auth_id, tenant.region)
        caller = RequestSender(
            signed,
            self._breakers[instance_id],
            self._limits[instance_id],
            self._retry,
            self._clock,
            plain,
        )
        return AmcClient(tenant, caller, Downloader(self._plain, self._retry, self._clock, self._kept))

    def _is_amazon(self) -> bool:
        return self._settings.mode in ("live", "record")

    def _breaker(self, circuit: Circuit) -> CircuitBreaker:
        return CircuitBreaker(
            circuit,
            self._clock,
            limit=self._settings.breaker_failures,
            pause=self._settings.breaker_pause,
            on_change=self._on_circuit,
        )

    def _signed(self, auth_id: str, region: Region) -> tuple[httpx.Client, SignedConnections | None]:
        if (auth_id, region) not in self._signing:
            token_url = f"{self._base_url.rstrip('/')}{_TOKEN_PATH}" if self._base_url else TOKEN_URLS[region]
            # Tokens are asked for without AMC's headers, as downloads are.
            auth = LwaAuth(auth_id, self._source, token_url, self._clock, client=self._login)
            http = self._http(bound_answer, auth=auth, base_url=self._base_url or HOSTS[region])
            plain = SignedConnections.like(http, self._kept, auth) if self._kept else None
            self._signing[auth_id, region] = http, plain
        return self._signing[auth_id, region]

    def _http(
        self,
        bound: Callable[[httpx.Response], None] | None = None,
        *,
        auth: httpx.Auth | None = None,
        base_url: str = "",
        follow_redirects: bool = False,
    ) -> httpx.Client:
        headers = {"User-Agent": _USER_AGENT}
        if auth:
            # Packed, an answer of a few bytes may fill the memory.
            headers |= {"Accept": "application/json", "Content-Type": "application/json"}
            headers["Accept-Encoding"] = "identity"
        client = httpx.Client(
            auth=auth,
            base_url=base_url,
            headers=headers,
            timeout=self._settings.timeout.total_seconds(),
            limits=POOL,
            follow_redirects=follow_redirects,
            event_hooks={"response": [bound] if bound else []},
            verify=True if self._transport else trusted(),
            transport=_Shared(self._transport) if self._transport else None,
        )
        return bounded(client)
