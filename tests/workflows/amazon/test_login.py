"""Are tokens asked for once, kept, renewed in time, and never shown?"""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx
import keyring
import pytest
import typer
from keyring.backends import fail
from typer.testing import CliRunner

from amci.cli.auth import auth_app
from amci.cli.output import Output
from amci.kernel.errors import AmciError, AuthError, Throttled, Unavailable, UsageError
from amci.kernel.testing import FakeClock
from amci.kernel.workspace import WorkspacePaths
from amci.tenants.credentials import Credential, CredentialSource, CredentialStore, MemoryCredentials
from amci.workflows.amazon import login
from amci.workflows.amazon.login import LwaAuth, code_from, consent_url, exchange_code, refresh
from amci.workflows.amazon.transport import InProcess, trusted

PLANTED = "planted-secret"
KEY = "11" * 32
CREDENTIAL = Credential("amzn1.client", f"{PLANTED}-client", f"{PLANTED}-refresh")
THREADS = 8

Answer = tuple[int, bytes]


class Amazon:
    """A server that gives tokens under /token and asks for them everywhere else."""

    def __init__(self) -> None:
        self.forms: list[dict[str, str]] = []
        self.types: list[str] = []
        self.signed: list[tuple[str, str]] = []
        self.valid = ""
        self.expires_in: object = 3600
        self.rotates = False
        self.answer: Answer | None = None  #: of the token endpoint, instead of a token
        self.refusal: Answer = (401, b'{"code":"401","details":"Unauthorized"}')
        self.gate: threading.Barrier | None = None
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.token_url = f"{self.url}/token"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def token(self, form: dict[str, str], content_type: str) -> Answer:
        with self._lock:
            self.forms.append(form)
            self.types.append(content_type)
            if self.answer:
                return self.answer
            self.valid = f"{PLANTED}-access-{len(self.forms)}"
            given: dict[str, Any] = {"access_token": self.valid, "token_type": "bearer"}
            given["expires_in"] = self.expires_in
            if self.rotates or form["grant_type"] == "authorization_code":
                given["refresh_token"] = f"{PLANTED}-refresh-{len(self.forms)}"
        return 200, json.dumps(given).encode()

    def asked(self, bearer: str, client_id: str) -> Answer:
        is_good = bearer == f"Bearer {self.valid}" and self.valid != ""
        with self._lock:
            self.signed.append((bearer, client_id))
        if is_good:
            return 200, b"{}"
        if self.gate:
            self.gate.wait(20)
        return self.refusal

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        amazon = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                if self.path == "/token":
                    self.reply(amazon.token(dict(parse_qsl(body)), self.headers["Content-Type"]))
                else:
                    self.do_GET()

            def do_GET(self) -> None:
                bearer = self.headers.get("Authorization", "")
                self.reply(amazon.asked(bearer, self.headers.get("Amazon-Advertising-API-ClientId", "")))

            def reply(self, answer: Answer) -> None:
                status, body = answer
                self.send_response(status)
                self.send_header("Retry-After", "7")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        return Handler


@pytest.fixture
def amazon() -> Iterator[Amazon]:
    made = Amazon()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _no_keyring() -> Iterator[None]:
    before = keyring.get_keyring()
    keyring.set_keyring(fail.Keyring())
    yield
    keyring.set_keyring(before)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=["memory", "file"])
def source(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> CredentialSource:
    if request.param == "memory":
        return MemoryCredentials({"default": CREDENTIAL})
    store = CredentialStore(WorkspacePaths(tmp_path), {"AMCI_KEY": KEY}, clock)
    store.put({"default": CREDENTIAL})
    return store


def asking(amazon: Amazon, source: CredentialSource, clock: FakeClock) -> httpx.Client:
    auth = LwaAuth("default", source, amazon.token_url, clock)
    return httpx.Client(base_url=amazon.url, auth=auth, verify=trusted())


def at_once(ask: Callable[[], httpx.Response]) -> list[int]:
    """Statuses of one request from each of eight threads."""
    with ThreadPoolExecutor(THREADS) as pool:
        waiting = [pool.submit(ask) for _ in range(THREADS)]
        return [future.result(timeout=60).status_code for future in waiting]


def says(error: AmciError) -> str:
    err = io.StringIO()
    Output(stderr=err).error(error)
    return err.getvalue() + repr(error)


def test_a_request_is_signed_with_a_token_that_is_asked_for_by_form(
    amazon: Amazon, source: CredentialSource, clock: FakeClock
) -> None:
    with asking(amazon, source, clock) as client:
        assert client.get("/amc/instances").status_code == 200
    assert amazon.signed == [(f"Bearer {amazon.valid}", "amzn1.client")]
    assert amazon.types == ["application/x-www-form-urlencoded"]
    assert amazon.forms == [
        {
            "grant_type": "refresh_token",
            "refresh_token": f"{PLANTED}-refresh",
            "client_id": "amzn1.client",
            "client_secret": f"{PLANTED}-client",
        }
    ]


def test_a_token_is_kept_until_a_minute_before_it_ends(
    amazon: Amazon, source: CredentialSource, clock: FakeClock
) -> None:
    with asking(amazon, source, clock) as client:
        client.get("/")
        clock.turn(timedelta(minutes=58, seconds=59))
        client.get("/")
        assert len(amazon.forms) == 1
        clock.turn(timedelta(seconds=1))
        client.get("/")
    assert len(amazon.forms) == 2
    assert source.get("default").access_token == amazon.valid


def test_eight_threads_that_meet_an_ended_token_cause_one_refresh(
    amazon: Amazon, source: CredentialSource, clock: FakeClock
) -> None:
    with asking(amazon, source, clock) as client:
        assert at_once(lambda: client.get("/amc/instances")) == [200] * THREADS
        assert len(amazon.forms) == 1
        clock.turn(timedelta(hours=1))
        assert at_once(lambda: client.get("/amc/instances")) == [200] * THREADS
    assert len(amazon.forms) == 2


def test_eight_threads_whose_token_is_refused_in_mid_poll_cause_one_refresh(
    amazon: Amazon, source: CredentialSource, clock: FakeClock
) -> None:
    with asking(amazon, source, clock) as client:
        client.get("/")
        amazon.valid = "none any more"
        amazon.gate = threading.Barrier(THREADS)  # nobody is refused before all have asked
        assert at_once(lambda: client.get("/amc/instances")) == [200] * THREADS
    assert len(amazon.forms) == 2
    assert len(amazon.signed) == 1 + 2 * THREADS


def test_logins_of_two_processes_share_one_refresh(amazon: Amazon, tmp_path: Path, clock: FakeClock) -> None:
    stores = [CredentialStore(WorkspacePaths(tmp_path), {"AMCI_KEY": KEY}, clock) for _ in range(2)]
    stores[0].put({"default": CREDENTIAL})
    with asking(amazon, stores[0], clock) as one, asking(amazon, stores[1], clock) as two:
        turns = iter([one, two] * (THREADS // 2))
        assert at_once(lambda: next(turns).get("/")) == [200] * THREADS
        assert len(amazon.forms) == 1
        amazon.valid = "none any more"
        assert one.get("/").status_code == 200
        assert two.get("/").status_code == 200
    assert len(amazon.forms) == 2


def test_a_new_refresh_token_is_kept_and_used_next(
    amazon: Amazon, source: CredentialSource, clock: FakeClock
) -> None:
    amazon.rotates = True
    with asking(amazon, source, clock) as client:
        client.get("/")
        assert source.get("default").refresh_token == f"{PLANTED}-refresh-1"
        amazon.rotates = False
        clock.turn(timedelta(hours=2))
        client.get("/")
    assert amazon.forms[1]["refresh_token"] == f"{PLANTED}-refresh-1"
    assert source.get("default").refresh_token == f"{PLANTED}-refresh-1"


@pytest.mark.parametrize(
    ("status", "body", "refreshes"),
    [
        (401, b"", 1),
        (401, b'{"message":"Unauthorized"}', 1),
        (403, b'{"code":"403","details":"The access token has expired"}', 1),
        (403, b'{"message":"Expired security token"}', 1),
        (403, b'{"code":"403","details":"Unauthorized request"}', 0),
        (403, b"\xff\xfe", 0),
        (401, b'{"code":"401","details":"Terms and conditions must be accepted to continue"}', 0),
        (429, b"token expired", 0),
        (500, b"token expired", 0),
    ],
)
def test_only_a_refused_token_is_renewed_and_only_once(
    amazon: Amazon, clock: FakeClock, status: int, body: bytes, refreshes: int
) -> None:
    amazon.refusal = (status, body)
    source = MemoryCredentials({"default": replace(CREDENTIAL, access_token=PLANTED)})
    with asking(amazon, source, clock) as client:
        response = client.post("/amc/reporting/amc1/workflows", json={"workflowId": "w"})
    assert len(amazon.forms) == refreshes
    assert response.status_code == (200 if refreshes else status)
    if not refreshes:
        assert response.content == body


def test_a_request_that_is_refused_with_a_new_token_too_is_not_sent_a_third_time(
    amazon: Amazon, source: CredentialSource, clock: FakeClock
) -> None:
    amazon.answer = (200, b'{"access_token": "never good"}')
    with asking(amazon, source, clock) as client:
        assert client.get("/").status_code == 401
    assert len(amazon.signed) == 2


def test_a_token_without_a_known_end_is_used_until_it_is_refused(amazon: Amazon, clock: FakeClock) -> None:
    amazon.valid = "from elsewhere"
    source = MemoryCredentials({"default": replace(CREDENTIAL, access_token=amazon.valid)})
    with asking(amazon, source, clock) as client:
        clock.turn(timedelta(days=9))
        assert client.get("/").status_code == 200
    assert amazon.forms == []


@pytest.mark.parametrize("life", [None, "soon", -1, 0, 1e300])
def test_a_token_lasts_an_hour_where_amazon_names_no_sensible_end(
    amazon: Amazon, clock: FakeClock, life: object
) -> None:
    amazon.expires_in = life
    assert refresh(CREDENTIAL, amazon.token_url, clock).expires_at == clock.now() + timedelta(hours=1)


@pytest.mark.parametrize(
    ("answer", "error", "words", "hint"),
    [
        ((400, b'{"error":"invalid_grant"}'), AuthError, "invalid_grant", "amci auth login"),
        ((401, b'{"error":"invalid_client"}'), AuthError, "invalid_client", "amci auth set"),
        ((400, b'{"error":"unauthorized_client"}'), AuthError, "unauthorized_client", "approve"),
        ((400, b'{"error":"planted-secret"}'), AuthError, "status 400", "proxy"),
        ((403, b"<html>planted-secret</html>"), AuthError, "status 403", "proxy"),
        ((400, b""), AuthError, "status 400", "proxy"),
        ((400, b"[]"), AuthError, "status 400", "proxy"),
        ((302, b""), Unavailable, "status 302", "proxy"),
        ((503, b"planted-secret"), Unavailable, "status 503", "network"),
        ((429, b"{}"), Throttled, "too often", "tries again"),
        ((200, b""), Unavailable, "without a token", "proxy"),
        ((200, b"<html>"), Unavailable, "without a token", "proxy"),
        ((200, b"\xff"), Unavailable, "without a token", "proxy"),
        ((200, b'{"access_token":""}'), Unavailable, "without a token", "proxy"),
        ((200, b'{"access_token":["planted-secret"]}'), Unavailable, "without a token", "proxy"),
    ],
)
def test_what_login_with_amazon_refuses_is_told_without_its_words(
    amazon: Amazon,
    source: CredentialSource,
    clock: FakeClock,
    answer: Answer,
    error: type[AmciError],
    words: str,
    hint: str,
) -> None:
    status, body = answer
    described = body.replace(b'"}', b'","error_description":"Bad token planted-secret-refresh"}')
    amazon.answer = (status, described)
    before = source.get("default")
    with asking(amazon, source, clock) as client, pytest.raises(error, match=words) as caught:
        client.get("/")
    assert hint in caught.value.hint
    assert PLANTED not in says(caught.value)
    assert source.get("default") == before
    assert amazon.signed == []


def test_being_asked_to_wait_is_passed_on(amazon: Amazon, clock: FakeClock) -> None:
    amazon.answer = (429, b"")
    with pytest.raises(Throttled) as caught:
        refresh(CREDENTIAL, amazon.token_url, clock)
    assert caught.value.retry_after == timedelta(seconds=7)


def test_a_server_that_is_not_there_is_unavailable(amazon: Amazon, clock: FakeClock) -> None:
    amazon.close()
    with pytest.raises(Unavailable, match="did not answer") as caught:
        refresh(CREDENTIAL, amazon.token_url, clock)
    assert caught.value.retryable
    assert PLANTED not in says(caught.value)


def test_without_consent_amazon_is_not_even_asked(amazon: Amazon, clock: FakeClock) -> None:
    source = MemoryCredentials({"eu": replace(CREDENTIAL, refresh_token="")})
    auth = LwaAuth("eu", source, amazon.token_url, clock)
    client = httpx.Client(auth=auth, verify=trusted())
    with client, pytest.raises(AuthError, match="no refresh token") as caught:
        client.get(amazon.url)
    assert "amci auth login eu" in caught.value.hint
    assert amazon.forms == amazon.signed == []


def test_token_requests_take_the_way_they_are_given(clock: FakeClock) -> None:
    seen = []

    def respond(_method: str, url: str, _headers: Any, _body: bytes) -> tuple[int, dict[str, str], bytes]:
        seen.append(url)
        return 200, {}, b'{"access_token": "t"}'

    with httpx.Client(transport=InProcess(respond)) as client:
        source = MemoryCredentials({"default": CREDENTIAL})
        auth = LwaAuth("default", source, "http://inside/token", clock, client=client)
        assert client.get("http://inside/amc/instances", auth=auth).status_code == 200
    assert seen == ["http://inside/token", "http://inside/amc/instances"]


def test_no_secret_reaches_a_log(
    amazon: Amazon, clock: FakeClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    store = CredentialStore(WorkspacePaths(tmp_path), {"AMCI_KEY": KEY}, clock)
    store.put({"default": CREDENTIAL})
    with asking(amazon, store, clock) as client:
        client.get("/")
        amazon.valid = "none any more"
        client.get("/")
    assert "HTTP Request: POST" in caplog.text
    assert PLANTED not in caplog.text


def test_a_code_becomes_a_credential(amazon: Amazon, clock: FakeClock) -> None:
    made = exchange_code(
        "the-code",
        "https://amazon.com",
        client_id="amzn1.client",
        client_secret=PLANTED,
        token_url=amazon.token_url,
        clock=clock,
    )
    assert made == Credential(
        "amzn1.client", PLANTED, f"{PLANTED}-refresh-1", amazon.valid, clock.now() + timedelta(hours=1)
    )
    assert amazon.forms[0] == {
        "grant_type": "authorization_code",
        "code": "the-code",
        "redirect_uri": "https://amazon.com",
        "client_id": "amzn1.client",
        "client_secret": PLANTED,
    }


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((400, b'{"error":"invalid_grant"}'), "invalid_grant"),
        ((200, b'{"access_token":"t"}'), "no refresh token"),
    ],
)
def test_a_code_that_is_no_good_says_what_to_do(
    amazon: Amazon, clock: FakeClock, answer: Answer, words: str
) -> None:
    amazon.answer = answer
    with pytest.raises(AuthError, match=words) as caught:
        exchange_code(
            PLANTED,
            "https://a",
            client_id="i",
            client_secret=PLANTED,
            token_url=amazon.token_url,
            clock=clock,
        )
    assert "amci auth login" in caught.value.hint
    assert PLANTED not in says(caught.value)


@pytest.mark.parametrize(
    ("region", "host"),
    [("NA", "www.amazon.com"), ("EU", "eu.account.amazon.com"), ("FE", "apac.account.amazon.com")],
)
def test_the_consent_page_is_the_regions(region: Any, host: str) -> None:
    url = urlsplit(consent_url(region, "amzn1.client", "https://localhost/back?x=1&y", "the-state"))
    assert (url.scheme, url.hostname, url.path) == ("https", host, "/ap/oa")
    assert parse_qs(url.query) == {
        "client_id": ["amzn1.client"],
        "scope": ["advertising::campaign_management"],
        "response_type": ["code"],
        "redirect_uri": ["https://localhost/back?x=1&y"],
        "state": ["the-state"],
    }


@pytest.mark.parametrize(
    ("pasted", "state"),
    [
        ("ANcode\n", "s"),
        ("https://amazon.com/?code=ANcode&scope=advertising%3A%3Acampaign_management&state=s", "s"),
        ("https://amazon.com/?code=ANcode", "s"),
        ("https://amazon.com/?code=ANcode&state=of+an+earlier+call", None),
    ],
)
def test_a_code_is_found_in_what_people_paste(pasted: str, state: str | None) -> None:
    assert code_from(pasted, state) == "ANcode"


@pytest.mark.parametrize(
    ("pasted", "error"),
    [
        (" \n", UsageError),
        ("https://amazon.com/", UsageError),
        ("https://amazon.com/?code=&state=s", UsageError),
        ("https://amazon.com/?code=planted-secret&state=forged", UsageError),
        ("https://amazon.com/?error=access_denied&error_description=planted-secret&state=s", AuthError),
    ],
)
def test_what_holds_no_good_code_is_refused(pasted: str, error: type[AmciError]) -> None:
    with pytest.raises(error) as caught:
        code_from(pasted, "s")
    assert caught.value.hint
    assert PLANTED not in says(caught.value)


class Person:
    """Somebody who uses `amci auth`."""

    def __init__(self, home: Path) -> None:
        (home / "amci.yaml").write_text("name: test\n")
        self.home = home
        self.store = CredentialStore(WorkspacePaths(home), {}, FakeClock())

    def does(self, *words: str, types: str = "") -> Any:
        app = typer.Typer()
        app.add_typer(auth_app, name="auth")
        return CliRunner().invoke(app, ["auth", *words, "--home", str(self.home)], input=types)


@pytest.fixture
def person(tmp_path: Path) -> Person:
    return Person(tmp_path)


def test_credentials_are_typed_listed_and_removed(person: Person) -> None:
    typed = person.does("set", types=f"amzn1.client.1234\n{PLANTED}-client\n{PLANTED}-refresh\n")
    assert typed.exit_code == 0
    assert "state/credentials.key" in typed.stdout
    assert person.store.get("default") == replace(CREDENTIAL, client_id="amzn1.client.1234")
    person.does("set", "--secret", "hook", "--file", "-", types=f"{PLANTED}-hook\n")
    assert person.store.secret("hook") == f"{PLANTED}-hook"
    listed = json.loads(person.does("list", "--json").stdout)
    assert listed["key"] == "state/credentials.key"
    assert listed["logins"][0]["client_id"] == "…1234"
    assert [row["secret"] for row in listed["secrets"]] == ["hook"]
    assert "hook" in person.does("list").stdout
    assert PLANTED not in typed.output + json.dumps(listed)
    assert person.does("remove", "default").exit_code == 0
    assert person.does("remove", "hook", "--secret").exit_code == 0
    assert "no credentials" in person.does("list").stdout


def test_a_file_of_credentials_is_taken_whole_or_not_at_all(person: Person) -> None:
    one = {"client_id": "id", "client_secret": PLANTED}
    file = person.home / "secret.json"
    file.write_text(json.dumps({"na": one, "eu": {"client_id": "id"}}))
    refused = person.does("set", "--file", str(file))
    assert "eu.client_secret: field required" in str(refused.exception)
    assert not person.store.list()
    file.write_text(json.dumps({"na": one, "eu": one}))
    taken = person.does("set", "--file", str(file), "--json")
    assert json.loads(taken.stdout)["auth_ids"] == ["na", "eu"]
    assert "amci auth login eu" in taken.stderr
    assert [row.auth_id for row in person.store.list()] == ["eu", "na"]


@pytest.mark.parametrize(
    ("words", "typed", "error"),
    [
        (["set"], "", UsageError),
        (["set"], "id\n\n", UsageError),
        (["set", "--secret", "hook"], "", UsageError),
        (["set", "eu", "--secret", "hook"], "", UsageError),
        (["set", "--file", "no/such/file"], "", AmciError),
        (["login", "--region", "MARS"], "", UsageError),
        (["login"], "", AuthError),
        (["rotate"], "", AuthError),
        (["remove", "default"], "", AmciError),
    ],
)
def test_what_cannot_be_done_changes_nothing(
    person: Person, words: list[str], typed: str, error: type[AmciError]
) -> None:
    done = person.does(*words, types=typed)
    assert isinstance(done.exception, error)
    assert done.exception.hint
    assert not person.store.list()


@pytest.mark.parametrize("given", ["typed", "as an option"])
def test_a_login_shows_the_page_and_keeps_the_tokens(
    person: Person, amazon: Amazon, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.setitem(login.TOKEN_URLS, "EU", amazon.token_url)  # type: ignore[misc]
    person.store.put({"eu": replace(CREDENTIAL, refresh_token="")})
    answer = "https://localhost/back?code=ANcode"
    words = ["login", "eu", "--region", "eu", "--redirect-uri", "https://localhost/back"]
    done = person.does(*words, types=answer) if given == "typed" else person.does(*words, "--code", answer)
    assert done.exit_code == 0
    assert ("https://eu.account.amazon.com/ap/oa?client_id=amzn1.client" in done.stderr) is (given == "typed")
    assert amazon.forms[0]["code"] == "ANcode"
    assert person.store.get("eu").refresh_token == f"{PLANTED}-refresh-1"
    assert PLANTED not in done.output


def test_a_new_key_is_made_or_taken_from_the_environment(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    person.store.put({"default": CREDENTIAL})
    before = (person.home / "state" / "credentials.key").read_text()
    assert "state/credentials.key" in person.does("rotate").stdout
    assert (person.home / "state" / "credentials.key").read_text() != before
    assert person.store.get("default") == CREDENTIAL
    monkeypatch.setenv("AMCI_NEW_KEY", KEY)
    assert "AMCI_KEY" in person.does("rotate").stderr
    assert not (person.home / "state" / "credentials.key").exists()
    monkeypatch.setenv("AMCI_KEY", KEY)
    assert "AMCI_KEY" in person.does("list").stdout
