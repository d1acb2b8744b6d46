from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from amci.app.notice_text import notices_of
from amci.kernel import log
from amci.kernel.config import NotifySettings
from amci.kernel.errors import AmciError, AuthError, ConfigError, NotFound
from amci.kernel.notify.handler import NotifyHandler
from amci.kernel.notify.notice import NOTIFY, Notice, NotifyTarget, TargetKind
from amci.kernel.notify.notifier import Notifier
from amci.kernel.run import Done, Failed, NewRun, Outcome, RetryPolicy, Run, RunStatus
from amci.kernel.runs import RunStore
from amci.kernel.state import State
from amci.kernel.testing import FakeClock
from amci.kernel.worker import Tally, Worker
from amci.kernel.workspace import WorkspacePaths

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
KEY, HOOK = "planted.signing.key", "/services/planted.path"


class Hook:
    """A real web server that answers with the statuses it was given, the last one for ever."""

    def __init__(self) -> None:
        self.statuses = [200]
        self.heard: list[tuple[str, dict[str, str], bytes]] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.heard.append((self.path, dict(self.headers.items()), body))
                status = hook.statuses.pop(0) if len(hook.statuses) > 1 else hook.statuses[0]
                if not status:
                    return  # the connection ends without an answer
                self.send_response(status)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}{HOOK}"
        self._thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


@pytest.fixture
def hook() -> Iterator[Hook]:
    hook = Hook()
    yield hook
    hook.stop()


class House:
    """A run store whose ended runs are told of, and a worker that does them; `work` fails as it is told."""

    def __init__(
        self, state: State, clock: FakeClock, targets: list[NotifyTarget], secrets: dict[str, str]
    ) -> None:
        self.notifier = Notifier(targets)
        self.store = RunStore(
            state,
            clock,
            retry={AmciError: RetryPolicy(interval=timedelta(seconds=1), max_attempts=3)},
            chance=lambda: 0.5,
            follow=lambda run: [
                new for one in notices_of(run, "test", clock.now()) for new in self.notifier.runs_for(one)
            ],
        )
        for target in self.notifier.remote:
            self.store.set_pool(target.pool, 1)
        handler = NotifyHandler(self.notifier, secrets.__getitem__, clock, timeout=timedelta(seconds=5))
        handlers = [handler, Work()]
        self.worker = Worker(
            self.store, handlers, clock, name="w", lease=timedelta(hours=1), on_finished=lambda *_: None
        )

    def end(self, *keys: str, tenant: str = "acme") -> Tally:
        self.store.create(NewRun(idempotency_key=key, kind="work", tenant_id=tenant) for key in keys)
        return self.worker.drain(threading.Event(), timedelta(minutes=5))

    def told(self, status: RunStatus | None = None) -> list[Run]:
        return self.store.list(kind=NOTIFY, status=status)


class Work:
    kind = "work"
    batch = 10
    threads = 1

    def handle(self, runs: Any) -> dict[int, Outcome]:
        return {r.run_id: Failed(NotFound("gone")) if "bad" in r.idempotency_key else Done() for r in runs}


@pytest.fixture
def house(state: State, clock: FakeClock) -> Callable[..., House]:
    return lambda *targets, **secrets: House(state, clock, list(targets), secrets)


def webhook(hook: Hook, **values: Any) -> NotifyTarget:
    return NotifyTarget(**({"kind": TargetKind.WEBHOOK, "url": hook.url, "secret": "hook"} | values))


def test_a_webhook_gets_the_notice_signed(hook: Hook, house: Callable[..., House], clock: FakeClock) -> None:
    home, began = house(webhook(hook), hook=KEY), clock.now()
    assert home.end("bad") == Tally(succeeded=1, skipped=0, failed=1, returned=0, lost=0, left=0)
    ((path, headers, content),) = hook.heard
    stamp, made = (part.partition("=")[2] for part in headers["X-Amci-Signature"].split(","))
    expected = hmac.new(KEY.encode(), f"{stamp}.".encode() + content, hashlib.sha256).hexdigest()
    assert (path, made) == (HOOK, expected)
    assert began.timestamp() <= int(stamp) <= clock.now().timestamp()
    said = json.loads(content)
    assert (said["event"], said["tenant_id"], said["body"]) == ("failed", "acme", "gone")
    assert said["subject"] == "test: run 1 (work) failed"
    assert headers["Idempotency-Key"] == home.told()[0].idempotency_key
    assert headers["Content-Type"] == "application/json"


def test_without_a_secret_nothing_is_signed(hook: Hook, house: Callable[..., House]) -> None:
    house(webhook(hook, secret="")).end("bad")
    assert "X-Amci-Signature" not in hook.heard[0][1]


@pytest.mark.parametrize("trouble", [429, 500, 503, 408, 0])
def test_a_webhook_that_is_in_trouble_is_tried_again(
    hook: Hook, house: Callable[..., House], trouble: int
) -> None:
    hook.statuses = [trouble, trouble, 204]
    home = house(webhook(hook), hook=KEY)
    home.end("bad")
    assert [run.status for run in home.told()] == ["SUCCEEDED"]
    assert len({headers["Idempotency-Key"] for _, headers, _ in hook.heard}) == 1
    assert len(hook.heard) == 3


@pytest.mark.parametrize(
    ("status", "tries", "said"),
    [
        (404, 1, "webhook 127.0.0.1 answered 404"),
        (401, 1, "answered 401"),
        (302, 1, "set `url` to where it leads"),
        (500, 3, "answered 500"),
    ],
)
def test_a_target_that_fails_for_ever_is_seen_and_fails_nothing_else(
    hook: Hook, house: Callable[..., House], status: int, tries: int, said: str
) -> None:
    good = Hook()
    try:
        hook.statuses = [status]
        home = house(webhook(hook), webhook(good, events=frozenset({"succeeded"})), hook=KEY)
        home.end("bad", "fine", "bad2")
        failed = home.told(RunStatus.FAILED)
        assert len(failed) == 3
        assert all(said in (run.reason or "") for run in failed)
        assert len(hook.heard) == 3 * tries
        assert {path for path, *_ in hook.heard} == {HOOK}
        assert [json.loads(content)["event"] for *_, content in good.heard] == ["succeeded"]
        counts = home.store.counts()
        assert counts["work"] == {RunStatus.FAILED: 2, RunStatus.SUCCEEDED: 1}
        assert counts[NOTIFY] == {RunStatus.FAILED: 3, RunStatus.SUCCEEDED: 1}
    finally:
        good.stop()


def test_a_webhook_that_is_not_there_is_tried_again_and_then_given_up(house: Callable[..., House]) -> None:
    home = house(NotifyTarget(kind=TargetKind.WEBHOOK, url="http://127.0.0.1:9/x"))
    home.end("bad")
    (run,) = home.told()
    assert (run.status, run.attempts) == ("FAILED", 3)
    assert "did not answer (ConnectError)" in (run.reason or "")


def test_what_failed_again_after_a_redrive_is_told_again(hook: Hook, house: Callable[..., House]) -> None:
    home = house(webhook(hook), hook=KEY)
    home.end("bad")
    home.store.redrive([1])
    home.end()
    assert len(hook.heard) == len(home.told()) == 2


def test_a_target_that_was_taken_out_meanwhile_is_told_of(hook: Hook, house: Callable[..., House]) -> None:
    first = house(webhook(hook), hook=KEY)
    first.store.create(first.notifier.runs_for(notice()))
    second = house()
    second.end()
    (run,) = second.told()
    assert (run.status, hook.heard) == ("FAILED", [])
    assert "any more" in (run.reason or "")


def test_a_secret_that_is_not_stored_is_said(hook: Hook, tmp_path: Path, clock: FakeClock) -> None:
    def secrets(name: str) -> str:
        raise AuthError(f"no secret '{name}'", hint="store it with `amci auth set --secret`")

    with State.open(tmp_path / "amci.db", clock) as state:
        notifier = Notifier([webhook(hook)])
        store = RunStore(state, clock)
        store.create(notifier.runs_for(notice()))
        runs = store.claim([NOTIFY], "w", timedelta(minutes=1))
        with pytest.raises(AuthError, match="no secret 'hook'"):
            NotifyHandler(notifier, secrets, clock).handle(runs)
    assert hook.heard == []


def notice(event: str = "failed", tenant: str | None = "acme", **values: Any) -> Notice:
    return Notice(**({"event": event, "subject": "it failed", "tenant_id": tenant, "at": AT} | values))


def test_no_secret_is_in_state_log_or_errors(hook: Hook, house: Callable[..., House], tmp_path: Path) -> None:
    log.configure(tmp_path / "log.jsonl", "debug", to_stderr=False)
    try:
        hook.statuses = [500, 404]
        home = house(
            webhook(hook),
            NotifyTarget(kind=TargetKind.WEBHOOK, url="http://127.0.0.1:9/planted.path"),
            hook=KEY,
        )
        home.end("bad")
    finally:
        log.configure(None, "info", to_stderr=False)
    assert len(home.told(RunStatus.FAILED)) == 2
    written = [path.read_bytes() for path in tmp_path.iterdir()]
    assert any(b"did not answer" in content for content in written)
    assert not [content for content in written if b"planted" in content]
    assert "planted" not in repr(home.notifier.remote)


FILTERS: list[tuple[dict[str, Any], list[str]]] = [
    (
        {},
        [
            "failed/acme/execute/FAILED",
            "failed/zoo/execute/REJECTED",
            "succeeded/acme/heavy/",
            "failed/-/heavy/",
        ],
    ),
    ({"events": ("succeeded",)}, ["succeeded/acme/heavy/"]),
    ({"kinds": ("execute",)}, ["failed/acme/execute/FAILED", "failed/zoo/execute/REJECTED"]),
    ({"statuses": ("rejected", "CANCELLED")}, ["failed/zoo/execute/REJECTED"]),
    ({"tenants": ("zoo", "other")}, ["failed/zoo/execute/REJECTED"]),
    ({"tenants": ("acme",), "kinds": ("heavy",), "events": ("failed",)}, []),
]


@pytest.mark.parametrize(("filters", "heard"), FILTERS)
@pytest.mark.parametrize("kind", ["console", "webhook"])
def test_a_target_hears_only_what_it_asked_for(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, kind: Any, filters: dict[str, Any], heard: list[str]
) -> None:
    settings = NotifySettings(**({"kind": kind, "url": "https://hooks.example/x", "events": ()} | filters))
    notifier = Notifier([NotifyTarget.of(tmp_path, settings)])
    subjects = []
    for name in FILTERS[0][1]:
        event, tenant, run_kind, status = name.split("/")
        fields = {"kind": run_kind} | ({"responseStatus": status} if status else {})
        one = notice(event, None if tenant == "-" else tenant, subject=name, fields=fields)
        notifier.send(one)
        subjects += [run.payload["notice"]["subject"] for run in notifier.runs_for(one)]
    shown = [line.partition(": ")[2] for line in capsys.readouterr().err.splitlines()]
    assert (shown, subjects) == ((heard, []) if kind == "console" else ([], heard))


def test_a_tenants_own_targets_hear_of_its_runs_only(tmp_path: Path) -> None:
    own = [NotifySettings(kind="webhook", url=f"https://h.example/{name}", tenants=("zoo",)) for name in "ab"]
    everybody = NotifySettings(kind="webhook", url="https://h.example/all")
    notifier = Notifier.of(WorkspacePaths(tmp_path), [everybody], {"acme": own[:1], "zoo": own[1:]})
    for tenant, expected in (("acme", [0, 1]), ("zoo", [0, 2]), (None, [0])):
        told = [run.payload["target"] for run in notifier.runs_for(notice(tenant=tenant))]
        assert told == [notifier.remote[number].target_id for number in expected]


def test_a_notice_is_the_same_after_it_was_written_down() -> None:
    one = notice(body="é\n", run_id=3, fields={"kind": "execute", "responseStatus": "FAILED"})
    assert Notice.of(json.loads(json.dumps(one.document()))) == one


def test_nobody_is_told_of_telling() -> None:
    notifier = Notifier([NotifyTarget(kind=TargetKind.WEBHOOK, url="https://h.example/x")])
    assert notifier.runs_for(notice(fields={"kind": NOTIFY})) == []
    assert len(notifier.runs_for(notice(fields={"kind": "work"}))) == 1


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"kind": "webhook", "url": ""}, "notify.url: should be a whole address that begins with https://"),
        ({"kind": "webhook", "url": "ftp://h/x"}, "notify.url: should be a whole address"),
        ({"kind": "webhook", "url": "https:///x"}, "notify.url: should be a whole address"),
        ({"kind": "webhook", "url": "https://h:port/"}, "notify.url: should be a whole address"),
        (
            {"kind": "smtp", "url": "mail.example.com", "sender": "a@b", "to": ("c@d",)},
            "begins with smtp:// or smtps://",
        ),
        (
            {"kind": "smtp", "url": "smtp://u:planted@h", "sender": "a@b", "to": ("c@d",)},
            "should hold no password",
        ),
        ({"kind": "smtp", "url": "smtp://h", "to": ("c@d",)}, "notify.sender: "),
        ({"kind": "smtp", "url": "smtp://h", "sender": "a@b"}, "notify.to: "),
        ({"kind": "smtp", "url": "smtp://h", "sender": "a@b", "to": ("c@d", "nobody")}, "notify.to: "),
    ],
)
def test_a_target_that_lacks_something_is_a_mistake_in_the_configuration(
    tmp_path: Path, values: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError) as wrong:
        NotifyTarget.of(tmp_path, NotifySettings(**values))
    assert said in str(wrong.value)
    assert "planted" not in str(wrong.value)
