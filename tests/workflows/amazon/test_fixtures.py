from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from hypothesis import given, strategies as st

from amci.kernel.errors import ConfigError, NotFound, NotRecorded, UsageError
from amci.kernel.testing import FakeClock
from amci.workflows.amazon import fixtures
from amci.workflows.amazon.fixture_transport import RecordTransport, ReplayTransport
from amci.workflows.amazon.fixtures import LARGEST_DOWNLOAD, dumped, read, scenario_path, scenarios, verify
from amci.workflows.amazon.scrub import Scrubber
from amci.workflows.amazon.transport import network

INSTANCE, ENTITY = "amcxyz98765", "ENTITY3QX7KPLM2"
KNOWN = {"acme.instance_id": INSTANCE, "acme.advertiser_id": ENTITY}
API = f"/amc/reporting/{INSTANCE}"
CSV = f"campaign,owner,instance\nA,planted.mail@shop.example,{INSTANCE}\nB,,\n"

Answer = tuple[int, dict[str, str], bytes]
Script = Callable[[str, str, bytes], Answer]


def as_json(value: Any, status: int = 200, **headers: str) -> Answer:
    return status, {"Content-Type": "application/json", **headers}, json.dumps(value).encode()


class Amc:
    """A real HTTP server that answers what it was told to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.script: Script = lambda _, path, body: as_json({"at": path, "was": body.decode()})
        amc = self

        class Handler(BaseHTTPRequestHandler):
            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                amc.asked.append(f"{self.command} {self.path}")
                status, headers, content = amc.script(self.command, self.path, body)
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = handle_any  # noqa: N815 - the names are http.server's

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self._thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


@pytest.fixture
def amc() -> Iterator[Amc]:
    amc = Amc()
    yield amc
    amc.stop()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "fixtures" / "nightly.yaml"


def recording(path: Path, known: dict[str, str] = KNOWN) -> httpx.Client:
    transport = RecordTransport(network(), path, Scrubber(known), FakeClock())
    return httpx.Client(transport=transport)


def replaying(path: Path, matching: Any = "any_order", known: dict[str, str] = KNOWN) -> httpx.Client:
    return httpx.Client(transport=ReplayTransport(path, Scrubber(known), matching))


def nothing_recorded(path: Path, **request: Any) -> str:
    """What is said when this is asked of the fixture."""
    with replaying(path) as client, pytest.raises(NotRecorded) as refused:
        client.request(**({"method": "GET"} | request))
    return f"{refused.value} | {refused.value.hint}"


def night(url: str) -> Script:
    """A workflow execution: created, looked at three times, and fetched in two files."""
    looks = iter(["PENDING", "RUNNING", "SUCCEEDED"])

    def script(method: str, path: str, body: bytes) -> Answer:
        if path == "/auth/o2/token":
            return as_json({"access_token": "Atza|planted.login", "refresh_token": "Atzr|planted.rotated"})
        if path.endswith("/workflowExecutions") and method == "POST":
            asked = json.loads(body)
            return as_json(
                {
                    "workflowExecutionId": "e-1",
                    "status": "PENDING",
                    "parameterValues": asked["parameterValues"],
                    "outputS3URI": "s3://amc-planted-bucket/workflow=reach/x.csv",
                    "instance": {"instanceId": INSTANCE, "dataUploadAwsAccountId": "123456789012"},
                },
                **{"x-amz-rid": "ABCDEFGHIJ0123456789", "Set-Cookie": "session=planted.cookie"},
            )
        if path.endswith("/downloadUrls"):
            links = [f"{url}/files/{n}.csv?X-Amz-Signature=planted.sig{n}" for n in (1, 2)]
            return as_json({"downloadUrls": links, "metadataDownloadUrls": []})
        if path.startswith("/files/1"):
            return 200, {"Content-Type": "text/csv"}, CSV.encode()
        if path.startswith("/files/2"):
            return 200, {"Content-Type": "text/csv"}, gzip.compress(CSV.encode())
        return as_json({"workflowExecutionId": "e-1", "status": next(looks), "account": ENTITY})

    return script


def live_through(client: httpx.Client, url: str, *, start: str = "2026-01-01T00:00:00") -> list[Any]:
    """What the client sees of that night."""
    headers = {"Authorization": "Bearer Atza|planted.access", "Amazon-Advertising-API-AdvertiserId": ENTITY}
    client.post(
        f"{url}/auth/o2/token", data={"refresh_token": "Atzr|planted.old", "client_secret": "planted.cs"}
    )
    body = {
        "workflowId": "reach",
        "timeWindowStart": start,
        "parameterValues": {"mail": "planted.m@shop.example"},
    }
    made = client.post(f"{url}{API}/workflowExecutions", json=body, headers=headers)
    looks = [client.get(f"{url}{API}/workflowExecutions/e-1", headers=headers).json() for _ in range(3)]
    links = client.get(f"{url}{API}/workflowExecutions/e-1/downloadUrls", headers=headers).json()[
        "downloadUrls"
    ]
    files = []
    for link in links:
        with client.stream("GET", link) as response:
            files.append(b"".join(response.iter_raw()))
    return [made.status_code, made.headers["x-amz-rid"], made.json()["instance"]["instanceId"], looks, *files]


def test_what_was_recorded_is_replayed_without_a_network_and_holds_no_secret(amc: Amc, path: Path) -> None:
    amc.script = night(amc.url)
    with recording(path) as client:
        status, rid, instance, looks, first, second = live_through(client, amc.url)
    amc.stop()
    content = path.read_bytes()
    assert b"planted" not in content
    assert not [
        secret for secret in (INSTANCE, ENTITY, "127.0.0.1", "123456789012") if secret in content.decode()
    ]
    assert verify(path, Scrubber(KNOWN)) == []
    with replaying(path) as client:
        again = live_through(client, "https://advertising-api.amazon.com")
    assert again[:4] == [status, rid, instance, looks] == [200, "ABCDEFGHIJ0123456789", INSTANCE, looks]
    assert [look["status"] for look in looks] == ["PENDING", "RUNNING", "SUCCEEDED"]
    clean = CSV.replace("planted.mail@shop.example", "<email>").encode()
    assert (first, gzip.decompress(second)) == (CSV.encode(), CSV.encode())
    assert (again[4], gzip.decompress(again[5])) == (clean, clean)


def test_the_file_can_be_read_by_people(amc: Amc, path: Path) -> None:
    amc.script = night(amc.url)
    with recording(path) as client:
        live_through(client, amc.url)
    document = yaml.safe_load(path.read_text())
    assert document["format"] == 1
    assert document["known"] == {"acme.instance_id": "amcinstance1", "acme.advertiser_id": "ENTITY1"}
    first, *_, last = document["exchanges"]
    assert first["request"] == {
        "method": "POST",
        "host": "api",
        "path": "/amc/reporting/amcinstance1/workflowExecutions",
        "json": {
            "workflowId": "reach",
            "timeWindowStart": "2026-01-01T00:00:00",
            "parameterValues": {"mail": "<email>"},
        },
    }
    assert first["response"]["headers"] == {
        "content-type": "application/json",
        "x-amz-rid": "ABCDEFGHIJ0123456789",
    }
    assert last["request"] == {"method": "GET", "host": "download", "path": "/2"}
    assert last["response"]["gzip"] is True
    assert "    text: |\n      campaign,owner,instance\n      A,<email>,amcinstance1\n" in path.read_text()


def test_answers_are_told_in_the_ids_of_who_replays(amc: Amc, path: Path) -> None:
    amc.script = lambda *_: as_json({"details": f"no {INSTANCE} of {ENTITY}"}, 403)
    with recording(path) as client:
        client.get(f"{amc.url}{API}/workflows")
    theirs = {"acme.instance_id": "amcother111", "acme.advertiser_id": "ENTITYOTHER1"}
    with replaying(path, known=theirs) as client:
        answer = client.get(f"{amc.url}/amc/reporting/amcother111/workflows")
    assert (answer.status_code, answer.json()) == (403, {"details": "no amcother111 of ENTITYOTHER1"})


@pytest.mark.parametrize(
    ("content", "content_type", "kept"),
    [
        (b"", "application/json", {}),
        (b"{}", "application/octet-stream", {"json": {}}),
        (
            b'[1, 1.5, 1e-7, "2026-01-01", "yes", null]',
            "x",
            {"json": [1, 1.5, 1e-7, "2026-01-01", "yes", None]},
        ),
        (b'"just text"', "application/json", {"text": '"just text"'}),
        (b"<html>\r\n \xc3\xa9</html>", "text/html", {"text": "<html>\r\n \xe9</html>"}),
        (b"\xff\xfe\x00", "application/octet-stream", {"base64": "//4A"}),
    ],
)
def test_bodies_of_every_kind_come_back(
    amc: Amc, path: Path, content: bytes, content_type: str, kept: dict[str, Any]
) -> None:
    amc.script = lambda *_: (200, {"Content-Type": content_type, "Retry-After": "7"}, content)
    with recording(path) as client:
        client.get(f"{amc.url}{API}/x")
    recorded = yaml.safe_load(path.read_text())["exchanges"][0]["response"]
    headers = {"content-type": content_type, "retry-after": "7"}
    assert recorded == {"status": 200, "headers": headers, **kept}
    with replaying(path) as client:
        answer = client.get(f"{amc.url}{API}/x")
    assert dict(answer.headers) == headers
    assert answer.json() == kept["json"] if "json" in kept else answer.content == content


def test_a_packed_answer_is_unpacked_once(amc: Amc, path: Path) -> None:
    packed = gzip.compress(b'{"a": "planted@shop.example"}')
    amc.script = lambda *_: (200, {"Content-Encoding": "gzip"}, packed)
    with recording(path) as client:
        seen = [client.get(f"{amc.url}{API}/x").json(), client.get(f"{amc.url}/file.json").json()]
    assert seen == [{"a": "planted@shop.example"}] * 2
    assert b"planted" not in path.read_bytes()
    with replaying(path) as client:
        assert client.get(f"{amc.url}{API}/x").json() == {"a": "<email>"}


@pytest.mark.parametrize("is_zipped", [False, True])
def test_a_long_download_is_passed_on_whole_and_kept_in_part(amc: Amc, path: Path, is_zipped: bool) -> None:
    whole = b"".join(b"%d,planted%d@shop.example\n" % (n, n) for n in range(60_000))
    amc.script = lambda *_: (200, {}, gzip.compress(whole) if is_zipped else whole)
    with recording(path) as client:
        got = client.get(f"{amc.url}/a.csv").content
    assert (gzip.decompress(got) if is_zipped else got) == whole
    assert read(path).exchanges[0].response.cut > 0
    with replaying(path) as client:
        part = client.get(f"{amc.url}/a.csv").content
    lines = (gzip.decompress(part) if is_zipped else part).split(b"\n")
    assert 10_000 < len(lines) < 60_000
    assert lines[-1] == b""
    assert {line.partition(b",")[2] for line in lines[:-1]} == {b"<email>"}
    assert verify(path, Scrubber({})) == []


def test_a_long_file_that_is_no_text_cannot_be_replayed_and_is_told_of(amc: Amc, path: Path) -> None:
    amc.script = lambda *_: (200, {}, b"\xff\n" * LARGEST_DOWNLOAD)
    with recording(path) as client:
        client.get(f"{amc.url}/a.bin")
    assert verify(path, Scrubber({})) == ["exchange 1 (GET /1): the file was too long to be recorded"]
    assert "too long to be recorded" in nothing_recorded(path, url=f"{amc.url}/a.bin")


def test_a_second_recording_follows_the_first_and_mixes_no_links_up(amc: Amc, path: Path) -> None:
    amc.script = lambda _, path, __: as_json({"downloadUrls": [f"{amc.url}/f?sig={path[-1]}"]})
    for n in "12":
        with recording(path) as client:
            link = client.get(f"{amc.url}{API}/links{n}").json()["downloadUrls"][0]
            amc.script, before = lambda *_, n=n: (200, {}, f"v\n{n}\n".encode()), amc.script
            client.get(link)
            amc.script = before
    assert [e.request.path[-2:] for e in read(path).exchanges] == ["s1", "/1", "s2", "/2"]
    with replaying(path) as client:
        links = [client.get(f"{amc.url}{API}/links{n}").json()["downloadUrls"][0] for n in "21"]
        assert [client.get(link).text for link in links] == ["v\n2\n", "v\n1\n"]


def test_an_id_that_is_only_learned_later_is_taken_out_of_earlier_answers(amc: Amc, path: Path) -> None:
    answers = iter([{"details": "see odd-shop-7"}, {"accountId": "odd-shop-7"}])
    amc.script = lambda *_: as_json(next(answers))
    with recording(path) as client:
        for _ in range(2):
            client.get(f"{amc.url}{API}/x")
    assert b"odd-shop" not in path.read_bytes()
    assert read(path).exchanges[0].response.document == {"details": "see ENTITY2"}


def test_what_got_no_answer_leaves_no_trace(amc: Amc, path: Path) -> None:
    with recording(path) as client:
        client.get(f"{amc.url}{API}/a")
        with pytest.raises(httpx.ConnectError):
            client.get("http://127.0.0.1:9/amc/b")
        with client.stream("GET", f"{amc.url}/half.csv"):
            pass  # nobody read it
        client.get(f"{amc.url}{API}/c")
    assert [exchange.request.path[-2:] for exchange in read(path).exchanges] == ["/a", "/c"]


def test_many_threads_record_into_one_file_and_replay_from_it(amc: Amc, path: Path) -> None:
    urls = [f"{amc.url}{API}/workflows/w{n}" for n in range(40)]
    with recording(path) as client, ThreadPoolExecutor(8) as pool:
        recorded = list(pool.map(lambda url: client.get(url).json(), urls))
    assert len(read(path).exchanges) == 40
    with replaying(path) as client, ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda url: client.get(url).json(), urls)) == recorded


def test_the_file_is_whole_after_every_exchange(amc: Amc, path: Path) -> None:
    with recording(path) as client:
        for n in range(1, 4):
            client.get(f"{amc.url}{API}/workflows/w{n}")
            assert len(read(path).exchanges) == n
    assert [file.name for file in path.parent.iterdir()] == ["nightly.yaml"]


@pytest.fixture
def counted(amc: Amc, path: Path) -> Path:
    """Two workflows asked for twice each, a day apart, and two executions created."""
    answers = iter(range(100))
    amc.script = lambda *_: as_json({"n": next(answers)})
    with recording(path) as client:
        for day in (1, 2):
            for name in "ab":
                client.get(f"{amc.url}{API}/{name}", params={"since": f"2026-01-0{day}T00:00:00"})
        for day in (1, 2):
            client.post(f"{amc.url}{API}/e", json={"start": f"2026-01-0{day}", "id": "amci-0123456789abcdef"})
    return path


def asked(client: httpx.Client, *requests: tuple[str, str]) -> list[int]:
    """The numbers of the answers to these: a name and a time each."""
    found = []
    for name, time in requests:
        url = f"https://advertising-api.amazon.com{API}/{name}"
        answer = (
            client.post(url, json={"id": "amci-fedcba9876543210", "start": time})
            if name == "e"
            else client.get(url, params={"since": time})
        )
        found.append(answer.json()["n"])
    return found


@pytest.mark.parametrize(
    ("requests", "numbers"),
    [
        ([("b", "2026-01-01T00:00:00"), ("a", "2026-01-01T00:00:00")], [1, 0]),
        ([("a", "2026-01-02T00:00:00"), ("a", "2026-01-01T00:00:00")], [2, 0]),
        ([("a", "2026-01-02T00:00:00"), ("a", "2026-01-02T00:00:00")], [2, 2]),
        (
            [("a", "2027-05-05T10:11:12Z"), ("a", "2027-05-05T10:11:13.5+02:00"), ("a", "2028-01-01")],
            [0, 2, 2],
        ),
        ([("e", "2027-01-01"), ("e", "2027-01-02")], [4, 5]),
    ],
)
def test_in_any_order_an_answer_is_found_by_what_is_asked(
    counted: Path, requests: list[tuple[str, str]], numbers: list[int]
) -> None:
    with replaying(counted) as client:
        assert asked(client, *requests) == numbers


def test_what_changes_something_is_answered_as_often_as_it_was_recorded(counted: Path) -> None:
    with replaying(counted) as client:
        asked(client, ("e", "2027-01-01"), ("e", "2027-01-01"))
        with pytest.raises(NotRecorded, match="has no answer to POST /amc/reporting/amcinstance1/e"):
            asked(client, ("e", "2027-01-01"))


def test_strictly_the_order_and_the_times_are_those_of_the_recording(counted: Path) -> None:
    with replaying(counted, "strict") as client:
        assert asked(client, ("a", "2026-01-01T00:00:00"), ("b", "2026-01-01T00:00:00")) == [0, 1]
        with pytest.raises(NotRecorded, match=r"next in it is GET /amc/\S+/a\?since=2026-01-02T00:00:00 "):
            asked(client, ("b", "2026-01-02T00:00:00"))
        assert asked(client, ("a", "2026-01-02T00:00:00"), ("b", "2026-01-02T00:00:00")) == [2, 3]
        with pytest.raises(
            NotRecorded, match=r"next in it is POST /amc/\S+/e with another id \(exchange 5\)"
        ):
            asked(client, ("e", "2026-01-01"))


def test_strictly_the_recording_has_an_end(amc: Amc, path: Path) -> None:
    with recording(path) as client:
        client.get(f"{amc.url}{API}/a")
    with replaying(path, "strict") as client:
        client.get(f"{amc.url}{API}/a")
        with pytest.raises(NotRecorded, match="next in it is its end"):
            client.get(f"{amc.url}{API}/a")


def test_an_unknown_request_is_told_with_what_comes_nearest(counted: Path) -> None:
    url = f"https://advertising-api.amazon.com{API}"
    said = nothing_recorded(counted, url=f"{url}/aa", params={"since": "2026-01-01T00:00:00"})
    assert "'nightly' has no answer to GET /amc/reporting/amcinstance1/aa?since=2026-01-01T00:00:00" in said
    assert "nearest recorded: GET /amc/reporting/amcinstance1/a?since=" in said
    said = nothing_recorded(counted, method="POST", url=f"{url}/e", json={"start": "2026-01-01", "x": 1})
    assert "nearest recorded: POST /amc/reporting/amcinstance1/e with another id, x" in said
    said = nothing_recorded(counted, url="https://h.example/f?X-Amz-Signature=planted")
    assert "GET (download) /1" in said
    assert "planted" not in said


def test_a_login_is_answered_without_having_been_recorded(counted: Path) -> None:
    with replaying(counted) as client:
        answer = client.post("https://api.amazon.co.uk/auth/o2/token", data={"refresh_token": "x"}).json()
    assert answer == {"access_token": "Atza|replay", "token_type": "bearer", "expires_in": 3600}


def test_a_scenario_that_is_not_recorded_is_not_found(counted: Path) -> None:
    with pytest.raises(NotFound, match="'weekly'") as missing:
        read(scenario_path(counted.parent, "weekly"))
    assert missing.value.hint.endswith("recorded are: nightly")
    assert scenarios(counted.parent) == ["nightly"]


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a\nb"])
def test_a_scenario_is_named_as_a_file_is(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError):
        scenario_path(tmp_path, name)


HEAD = (
    "format: 1\nrecorded_at: '2026-01-01'\namci: '1'\nknown: {acme.instance_id: amcinstance1}\nexchanges:\n"
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("format: 2\nrecorded_at: x\namci: '1'\n", "format: input should be 1"),
        ("nonsense", "should be a mapping"),
        (HEAD + "- request: {method: GET, host: api, path: /amc/x, header: y}", "header: unknown key"),
        (HEAD + "- request: {method: GET, host: api, path: /amc/x}", "response: field required"),
    ],
)
def test_a_damaged_file_says_every_mistake(path: Path, text: str, said: str) -> None:
    path.parent.mkdir()
    path.write_text(text)
    assert said in "\n".join(verify(path, Scrubber(KNOWN)))
    with pytest.raises(ConfigError):
        ReplayTransport(path, Scrubber(KNOWN), "strict")


def exchange(request: str = "", response: str = "") -> str:
    return (
        f"- request: {{method: GET, host: api, path: /amc/reporting/amcinstance1/x{request}}}\n"
        f"  response: {{status: 200{response}}}\n"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            exchange(response=", json: {access_token: abcdef}"),
            "exchange 1 (GET /amc/reporting/amcinstance1/x): holds",
        ),
        (exchange(request=", query: {q: a@b.example}"), "line 6: an e-mail address is still there"),
        (exchange(response=", text: 'Bearer abc.def'"), "line 7: a bearer token is still there"),
        (exchange() + "# Atza|pasted-by-hand\n", "line 8: a Login with Amazon token is still there"),
        (
            exchange(response=", text: 'https://h/f?X-Amz-Signature=1'"),
            "line 7: a pre-signed link is still there",
        ),
        (exchange() + f"# {INSTANCE}\n", "an id of this project is still there in plain"),
        (
            exchange().replace("amcinstance1/x", "theirs1234/x"),
            "holds something that should have been scrubbed",
        ),
        (exchange(response=", json: {awsAccountId: '123456789012'}"), "should have been scrubbed"),
        (exchange().replace("host: api", "host: login"), "logins are never recorded"),
        (
            exchange(response=", json: {downloadUrls: ['https://download.invalid/1']}"),
            "exchange 1: the file behind https://download.invalid/1 was never fetched",
        ),
    ],
)
def test_verify_finds_what_should_not_be_there_and_what_is_missing(path: Path, text: str, said: str) -> None:
    path.parent.mkdir()
    path.write_text(HEAD + exchange())
    assert verify(path, Scrubber(KNOWN)) == []
    path.write_text(HEAD + text)
    problems = "\n".join(verify(path, Scrubber(KNOWN)))
    assert said in problems
    assert not [
        secret for secret in ("abcdef", "a@b.example", "abc.def", "pasted", INSTANCE) if secret in problems
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=8), JSON, max_size=4), st.text())
def test_whatever_json_or_text_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, document: dict[str, Any], text: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    halves = [{"status": 200, "json": document}, {"status": 200, "text": text}]
    request = {"method": "GET", "host": "api", "path": "/amc/x"}
    written = {"format": 1, "recorded_at": "x", "amci": "1"} | {
        "exchanges": [{"request": request, "response": half} for half in halves]
    }
    path.write_text(dumped(written), encoding="utf-8", newline="")
    first, second = fixtures.read(path).exchanges
    assert first.response.document == document
    assert second.response.content() == text.encode()


def test_the_time_of_a_recording_is_that_of_the_clock(amc: Amc, path: Path) -> None:
    clock = FakeClock()
    clock.turn(timedelta(days=1))
    with httpx.Client(transport=RecordTransport(network(), path, Scrubber({}), clock)) as client:
        client.get(f"{amc.url}{API}/x")
    assert read(path).recorded_at == "2026-11-02T06:00:00.000000Z"
