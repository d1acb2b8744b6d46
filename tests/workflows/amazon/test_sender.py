"""Are requests repeated where that is safe, never where it is not, and does every error say what to do?"""

from __future__ import annotations

import gzip
import itertools
import socket
from collections.abc import Callable
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from amci.kernel import exchange
from amci.kernel.config import AmcSettings
from amci.kernel.errors import (
    AmciError,
    AuthError,
    OutcomeUnknown,
    Refused,
    RemoteError,
    Throttled,
    Unavailable,
)
from amci.kernel.testing import FakeClock
from amci.tenants.credentials import Credential, MemoryCredentials
from amci.tenants.model import Tenant
from amci.workflows.amazon import transport
from amci.workflows.amazon.answers import Exchange, retry_after
from amci.workflows.amazon.circuit_breaker import Circuit, CircuitOpen, CircuitState
from amci.workflows.amazon.transport import NO_ANSWER, NO_CONNECTION, InProcess
from amci.workflows.amc.client import AmcClient
from amci.workflows.amc.connections import Connections
from amci.workflows.amc.model import ExecutionRequest

from ..amc.conftest import Amc

ONCE = AmcSettings(attempts=1)
REQUEST = ExecutionRequest(workflow_id="reach")
PLANTED = ("planted", "Atza|", "Atzr|", "X-Amz-Signature")


def seconds(pauses: list[timedelta]) -> list[float]:
    return [pause.total_seconds() for pause in pauses]


class TestWords:
    @pytest.mark.parametrize(
        ("body", "text"),
        [
            ({"code": "422", "details": "no such window"}, "no such window"),
            ({"message": "no such account", "requestId": "R1"}, "no such account (request R1)"),
            ({"code": "422", "details": "bad audience", "requestId": "R2"}, "bad audience (request R2)"),
            ({"message": "bad records"}, "bad records"),
            (
                {"code": "422", "details": "bad upload", "errors": [], "requestId": "R3"},
                "bad upload (request R3)",
            ),
            ({"messageSubject": "d", "details": "c", "statusReason": "b"}, "b"),
            (b"", "AMC refused with status 422 and no text"),
            (b"<html>proxy</html>", "AMC refused with status 422 and no text"),
            (b"\xff\xfe\x00", "AMC refused with status 422 and no text"),
            (b"[" * 100_000, "AMC refused with status 422 and no text"),
            (["a list"], "AMC refused with status 422 and no text"),
        ],
    )
    def test_every_family_of_errors_is_read(self, amc: Amc, client: AmcClient, body: Any, text: str) -> None:
        amc.says(body, status=422)
        with pytest.raises(Refused) as caught:
            client.workflow("reach")
        assert (str(caught.value), caught.value.status) == (text, 422)

    @pytest.mark.parametrize("header", ["x-amz-rid", "X-Amz-Request-Id"])
    def test_amazons_id_of_the_request_is_kept(self, amc: Amc, client: AmcClient, header: str) -> None:
        amc.says({"code": "400", "details": "no"}, status=400, headers={header: "RID123"})
        with pytest.raises(Refused) as caught:
            client.workflow("reach")
        assert caught.value.request_id == "RID123"

    @pytest.mark.parametrize(
        ("status", "details", "kind", "hint"),
        [
            (401, "Invalid token", AuthError, "amci auth login"),
            (401, "Terms and conditions must be accepted to continue", AuthError, "accept Amazon's terms"),
            (403, "The security token included in the request is expired", AuthError, "amci auth login"),
            (403, "Unauthorized request", Refused, "check instance_id, advertiser_id, marketplace_id"),
            (404, "not here", Refused, "instance_id and region"),
            (400, "not so", Refused, "AMC says what is wrong"),
            (410, "gone", Refused, ""),
        ],
    )
    def test_each_refusal_says_what_to_do(
        self, amc: Amc, client: AmcClient, status: int, details: str, kind: type[RemoteError], hint: str
    ) -> None:
        amc.says({"code": str(status), "details": details}, status=status)
        with pytest.raises(kind, match=details) as caught:
            client.update_workflow({"workflowId": "reach"})
        assert hint in caught.value.hint

    def test_a_redirect_is_not_followed_with_credentials(self, amc: Amc, client: AmcClient) -> None:
        amc.says({}, status=307, headers={"Location": f"{amc.url}/elsewhere"})
        with pytest.raises(Refused) as caught:
            client.workflow("reach")
        assert "follows no redirects" in caught.value.hint
        assert len(amc.asked) == 1

    @pytest.mark.parametrize("status", [400, 401, 403, 429, 503])
    def test_no_error_repeats_a_secret(
        self, amc: Amc, connect: Callable[..., AmcClient], status: int
    ) -> None:
        link = "https://bucket.s3.amazonaws.com/x.csv?X-Amz-Credential=planted&X-Amz-Signature=planted"
        amc.says({"details": f"bad token Atza|planted-access for {link} (Bearer planted)"}, status=status)
        with pytest.raises(AmciError, match="bad token <token>") as caught:
            connect(attempts=1).workflow("reach")
        assert not [p for p in PLANTED if p in f"{caught.value}{caught.value.hint}{caught.value!r}"]

    def test_a_secret_that_cannot_be_sent_is_not_shown(
        self, amc: Amc, clock: FakeClock, tenant: Tenant
    ) -> None:
        credential = Credential("amzn1.client", "s", "r", "planted\nline")
        connections = Connections(ONCE, MemoryCredentials({"default": credential}), clock, base_url=amc.url)
        with pytest.raises(Unavailable) as caught:
            connections.client(tenant).workflow("reach")
        connections.close()
        shown = caught.value
        assert "planted" not in f"{shown}{shown.__cause__}{shown.hint}"


class TestRepeating:
    @pytest.mark.parametrize(
        "ask",
        [
            lambda c: c.workflow("reach"),
            lambda c: c.update_workflow({"workflowId": "reach"}),
            lambda c: c.delete_workflow("reach"),
        ],
        ids=["GET", "PUT", "DELETE"],
    )
    @pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
    def test_what_may_be_repeated_is(
        self, amc: Amc, client: AmcClient, pauses: list[timedelta], ask: Callable[..., Any], status: int
    ) -> None:
        amc.says({}, {}, status=status)
        amc.says({"workflowId": "reach"})
        ask(client)
        assert len(amc.asked) == 3
        assert len(pauses) == 2

    def test_attempts_are_bounded_and_pauses_grow(
        self, amc: Amc, client: AmcClient, pauses: list[timedelta]
    ) -> None:
        amc.says({"message": "down"}, status=503, headers={"x-amz-rid": "R9"})
        with pytest.raises(Unavailable, match=r"AMC answered with status 503: down \(request R9\)"):
            client.workflow("reach")
        assert len(amc.asked) == 5
        for pause, most in zip(seconds(pauses), [0.5, 1, 2, 4], strict=True):
            assert 0 <= pause <= most

    @pytest.mark.parametrize("status", [429, 503])
    def test_amazons_own_pause_is_kept_in_seconds(
        self, amc: Amc, client: AmcClient, pauses: list[timedelta], status: int
    ) -> None:
        amc.says({}, status=status, headers={"Retry-After": "7"})
        amc.says({"workflowId": "reach"})
        client.workflow("reach")
        assert seconds(pauses) == [7]

    def test_amazons_own_pause_is_kept_as_a_date(
        self, amc: Amc, client: AmcClient, clock: FakeClock, pauses: list[timedelta]
    ) -> None:
        at = format_datetime(clock.now() + timedelta(seconds=9), usegmt=True)
        amc.says({}, status=429, headers={"Retry-After": at})
        amc.says({"workflowId": "reach"})
        client.workflow("reach")
        assert seconds(pauses) == [9]

    def test_a_pause_longer_than_the_patience_is_the_callers_business(
        self, amc: Amc, client: AmcClient, pauses: list[timedelta]
    ) -> None:
        amc.says({}, status=429, headers={"Retry-After": "20"})
        with pytest.raises(Throttled) as caught:
            client.workflow("reach")
        assert caught.value.retry_after == timedelta(seconds=20)
        assert seconds(pauses) == [20]  # a second one would be longer than 30 s together
        assert len(amc.asked) == 2

    @pytest.mark.parametrize("body", [b"", b"<html>", b'["list"]'])
    def test_an_answer_cut_short_is_asked_for_again(self, amc: Amc, client: AmcClient, body: bytes) -> None:
        amc.says(body)
        amc.says({"workflowId": "reach"})
        assert client.workflow("reach") == {"workflowId": "reach"}

    @pytest.mark.parametrize(
        ("body", "kind"), [(b"", OutcomeUnknown), (b'{"details": "slow"}', OutcomeUnknown)]
    )
    @pytest.mark.parametrize("status", [500, 503, 504])
    def test_an_execution_is_never_asked_for_twice(
        self, amc: Amc, client: AmcClient, pauses: list[timedelta], status: int, body: bytes, kind: type
    ) -> None:
        amc.says(body, status=status)
        with pytest.raises(kind, match=f"status {status}.*may have carried"):
            client.create_execution(REQUEST)
        assert len(amc.asked) == 1
        assert pauses == []

    def test_a_throttled_one_was_not_carried_out(
        self, amc: Amc, client: AmcClient, pauses: list[timedelta]
    ) -> None:
        amc.says({}, status=429, headers={"Retry-After": "3"})
        with pytest.raises(Throttled) as caught:
            client.create_execution(REQUEST)
        assert caught.value.retry_after == timedelta(seconds=3)
        assert len(amc.asked) == 1
        assert pauses == []


class TestNoAnswer:
    @pytest.mark.parametrize("ends", ["close", "silence"])
    def test_an_execution_that_got_no_answer_has_an_unknown_outcome(
        self, amc: Amc, connect: Callable[..., AmcClient], ends: str
    ) -> None:
        amc.says(b"", ends=ends)
        with pytest.raises(OutcomeUnknown, match=r"127\.0\.0\.1 did not answer"):
            connect(timeout=timedelta(seconds=0.2)).create_execution(REQUEST)
        assert len(amc.asked) == 1

    @pytest.mark.parametrize("ends", ["close", "silence"])
    def test_other_requests_are_sent_again(
        self, amc: Amc, connect: Callable[..., AmcClient], ends: str
    ) -> None:
        amc.says(b"", ends=ends)
        amc.says({"workflowId": "reach"})
        # Longer pauses than the time-out allows would end it, so it is no shorter than the first pause.
        patient = connect(timeout=timedelta(seconds=0.6))
        assert patient.workflow("reach") == {"workflowId": "reach"}
        assert len(amc.asked) == 2

    def test_without_a_connection_nothing_was_sent(self, clock: FakeClock, tenant: Tenant) -> None:
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))  # taken, and nobody listens
            connections = Connections(
                ONCE,
                MemoryCredentials({"default": Credential("c", "s", "r", "t")}),
                clock,
                base_url=f"http://127.0.0.1:{held.getsockname()[1]}",
            )
            with pytest.raises(Unavailable, match=r"no connection to 127\.0\.0\.1 \(ConnectError\)"):
                connections.client(tenant).create_execution(REQUEST)
            connections.close()

    @pytest.mark.parametrize(
        ("status", "kind"), [(NO_ANSWER, OutcomeUnknown), (NO_CONNECTION, Unavailable), (500, OutcomeUnknown)]
    )
    def test_in_process_it_is_the_same(
        self, connect: Callable[..., AmcClient], status: int, kind: type[RemoteError]
    ) -> None:
        asked = []

        def respond(method: str, url: str, headers: Any, body: bytes) -> tuple[int, dict[str, str], bytes]:
            asked.append((method, url, headers["amazon-advertising-api-advertiserid"], body))
            return status, {}, b""

        with pytest.raises(kind):
            connect(transport=InProcess(respond)).create_execution(REQUEST)
        (method, url, advertiser, body) = asked[0]
        assert (method, advertiser) == ("POST", "ENTITY1")
        assert url == "https://advertising-api.amazon.com/amc/reporting/amcabc12345/workflowExecutions"
        assert b'"workflowId":"reach"' in body
        assert len(asked) == 1


class TestCircuit:
    def test_an_instance_that_does_not_answer_is_given_a_rest(
        self, amc: Amc, connect: Callable[..., AmcClient], clock: FakeClock
    ) -> None:
        client = connect(breaker_failures=3, breaker_pause=timedelta(seconds=60))
        amc.says({}, status=503)
        with pytest.raises(CircuitOpen, match="amcabc12345 did not answer 3 times in a row"):
            client.workflow("reach")
        assert len(amc.asked) == 3
        with pytest.raises(CircuitOpen) as caught:
            client.create_execution(REQUEST)
        assert len(amc.asked) == 3

        clock.turn(caught.value.retry_at - clock.now())
        amc.says({"workflowId": "reach"})
        amc._script.popleft()
        assert client.workflow("reach") == {"workflowId": "reach"}

    def test_lost_executions_count_and_refusals_do_not(
        self, amc: Amc, connect: Callable[..., AmcClient]
    ) -> None:
        client = connect(breaker_failures=2)
        for _ in range(3):
            amc.says({}, status=400)
            amc.says({}, status=429)
        amc.says({}, status=504)
        for _ in range(6):
            with pytest.raises((Refused, Throttled)):
                client.create_execution(REQUEST)
        for _ in range(2):
            with pytest.raises(OutcomeUnknown):
                client.create_execution(REQUEST)
        with pytest.raises(CircuitOpen):
            client.create_execution(REQUEST)

    def test_a_login_that_fails_says_nothing_about_the_instance(
        self, clock: FakeClock, tenant: Tenant
    ) -> None:
        def respond(_: str, url: str, *__: object) -> tuple[int, dict[str, str], bytes]:
            return (503 if url.endswith("/token") else 401), {}, b""

        open_now = Circuit(
            instance_id="amcabc12345", state=CircuitState.OPEN, failures=5, retry_at=clock.now()
        )
        connections = Connections(
            ONCE,
            MemoryCredentials({"default": Credential("c", "s", "r")}),
            clock,
            transport=InProcess(respond),
            circuits=[open_now],
        )
        with pytest.raises(Unavailable, match="Login with Amazon"):
            connections.client(tenant).workflow("reach")
        assert [c.state for c in connections.circuits()] == [CircuitState.HALF_OPEN]
        connections.close()


@pytest.mark.parametrize("text", ["", "soon", "-3", "1e9", "Thu, 99 Nov 2026 00:00:00 GMT", "9" * 40])
def test_an_unreadable_pause_is_none(clock: FakeClock, text: str) -> None:
    assert retry_after(text, clock.now()) is None


def test_a_pause_that_is_over_is_nothing(clock: FakeClock) -> None:
    assert retry_after("Sun, 01 Nov 2026 05:00:00 GMT", clock.now()) == timedelta()


@pytest.mark.parametrize(
    "text", ["315360000", "999999999.9", "Fri, 31 Dec 9999 23:59:59 GMT", "Fri, 31 Dec 9999 23:59:59 -2359"]
)
def test_no_pause_is_longer_than_an_hour(clock: FakeClock, text: str) -> None:
    assert retry_after(text, clock.now()) == timedelta(hours=1)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two minutes pass with each read and write; for servers that are slow see test_raw_answers."""
    looks = itertools.count(0.0, 121.0)
    monkeypatch.setattr(exchange, "stopwatch", lambda: next(looks))


class TestBounds:
    """An answer that never ends, or is a bomb, is no answer."""

    @pytest.mark.parametrize("is_packed", [False, True])
    def test_a_long_answer_is_given_up(
        self, amc: Amc, connect: Callable[..., AmcClient], monkeypatch: pytest.MonkeyPatch, *, is_packed: bool
    ) -> None:
        monkeypatch.setattr(transport, "_MOST_PACKED" if is_packed else "MOST", 1000)
        body = b'{"workflow": {}}' + b" " * 2_000_000
        headers = {"Content-Encoding": "gzip"} if is_packed else {}
        amc.says(gzip.compress(body) if is_packed else body, headers=headers)
        with pytest.raises(Unavailable, match="ReadError"):
            connect(attempts=1).workflow("reach")
        assert amc.asked[0].headers["accept-encoding"] == "identity"

    @pytest.mark.usefixtures("slow")
    def test_a_slow_answer_is_given_up(self, amc: Amc, connect: Callable[..., AmcClient]) -> None:
        amc.says({"workflow": {}})
        client = connect(attempts=1)
        with pytest.raises(Unavailable, match="ReadTimeout"):
            client.workflow("reach")
        with pytest.raises(OutcomeUnknown, match="ReadTimeout"):
            client.create_execution(REQUEST)

    @pytest.mark.usefixtures("slow")
    def test_a_slow_refusal_of_a_login_is_given_up(self, amc: Amc, connect: Callable[..., AmcClient]) -> None:
        amc.says({"details": "who are you?"}, status=401)
        with pytest.raises(Unavailable, match="ReadTimeout"):
            connect(attempts=1).workflow("reach")


def test_halves_of_utf_16_are_sent_as_json_has_them(amc: Amc, connect: Callable[..., AmcClient]) -> None:
    amc.says({})
    connect().create_workflow({"workflowId": "reach", "sqlQuery": "SELECT '\ud800', 'ü'"})
    assert amc.asked[0].body == {"workflowId": "reach", "sqlQuery": "SELECT '\ud800', 'ü'"}


def test_what_is_kept_of_a_request_has_no_values_of_its_query() -> None:
    url = "https://me:pw@host:8443/amc/x%20y?nextToken=Atza|planted&limit=100&X-Amz-Signature=planted#f"
    kept = Exchange.of("GET", url, FakeClock().now(), 0.25, status=200).document()
    assert kept["url"] == "https://host:8443/amc/x%20y?nextToken&limit&X-Amz-Signature"
    assert not any(word in str(kept) for word in ("planted", "pw"))
