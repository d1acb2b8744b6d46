from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from amci.kernel import log
from amci.kernel.errors import ConfigError
from amci.kernel.notify.notice import LONGEST_SUBJECT, Notice, NotifyTarget, TargetKind
from amci.kernel.notify.notifier import Notifier

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def notice(event: str = "run.failed", tenant: str | None = "acme", **values: Any) -> Notice:
    return Notice(**({"event": event, "subject": "it failed", "tenant_id": tenant, "at": AT} | values))


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def logged(tmp_path: Path) -> Iterator[Path]:
    """The log of warnings."""
    log.configure(tmp_path / "warnings.jsonl", "WARNING", to_stderr=False)
    yield tmp_path / "warnings.jsonl"
    log.configure(None, "INFO", to_stderr=False)


def test_a_subject_is_one_line_of_at_most_a_hundred_characters() -> None:
    assert notice(subject="a\r\nb\x1b[31m\tc").subject == "a b [31m c"
    assert len(notice(subject="é" * 500).subject) == LONGEST_SUBJECT == 100


def test_the_console_gets_one_line() -> None:
    console = io.StringIO()
    Notifier([NotifyTarget(kind=TargetKind.CONSOLE)], console=console).send(
        notice(subject="two\nlines", body="long")
    )
    assert console.getvalue() == "run.failed: two lines\n"


def test_without_a_console_stderr_is_the_console(capsys: pytest.CaptureFixture[str]) -> None:
    Notifier([NotifyTarget(kind=TargetKind.CONSOLE)]).send(notice())
    assert capsys.readouterr().err == "run.failed: it failed\n"


def test_a_file_gets_one_json_line_for_each_notice(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "notices.jsonl"
    notifier = Notifier([NotifyTarget(kind=TargetKind.FILE, path=path)])
    notifier.send(notice(body="line\nbreak é", run_id=7, fields={"responseStatus": "FAILED", "since": AT}))
    notifier.send(notice("run.done", None))
    first, second = lines(path)
    assert (first["event"], first["run_id"], first["tenant_id"]) == ("run.failed", 7, "acme")
    assert (first["body"], first["at"]) == ("line\nbreak é", "2026-01-02T03:04:05.000000Z")
    assert first["fields"] == {"responseStatus": "FAILED", "since": str(AT)}
    assert (second["event"], second["tenant_id"], second["run_id"]) == ("run.done", None, None)
    assert path.stat().st_mode & 0o077 == 0


def test_a_line_torn_by_a_crash_does_not_swallow_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "notices.jsonl"
    path.write_bytes(b'{"event": "torn')
    Notifier([NotifyTarget(kind=TargetKind.FILE, path=path)]).send(notice())
    torn, whole = path.read_text().splitlines()
    assert torn == '{"event": "torn'
    assert json.loads(whole)["event"] == "run.failed"


@pytest.mark.parametrize(
    ("events", "tenants", "heard"),
    [
        ((), (), ["a/x", "b/x", "a/y", "a/-"]),
        (("a",), (), ["a/x", "a/y", "a/-"]),
        ((), ("x",), ["a/x", "b/x"]),
        (("b",), ("x", "y"), ["b/x"]),
        (("c",), (), []),
    ],
)
def test_a_target_hears_its_events_and_tenants_only(
    events: tuple[str, ...], tenants: tuple[str, ...], heard: list[str]
) -> None:
    console = io.StringIO()
    target = NotifyTarget(kind=TargetKind.CONSOLE, events=frozenset(events), tenants=frozenset(tenants))
    notifier = Notifier([target], console=console)
    for event, tenant in (("a", "x"), ("b", "x"), ("a", "y"), ("a", None)):
        notifier.send(notice(event, tenant, subject=f"{event}/{tenant or '-'}"))
    assert [line.split(": ")[1] for line in console.getvalue().splitlines()] == heard


def test_a_target_that_fails_harms_neither_the_caller_nor_the_next_target(
    tmp_path: Path, logged: Path
) -> None:
    (tmp_path / "file").write_text("")
    broken = NotifyTarget(kind=TargetKind.FILE, path=tmp_path / "file" / "notices.jsonl")
    good = NotifyTarget(kind=TargetKind.FILE, path=tmp_path / "good.jsonl")
    notifier = Notifier([broken, good])
    notifier.send(notice())
    assert [entry["event"] for entry in lines(tmp_path / "good.jsonl")] == ["run.failed"]
    (failure,) = lines(logged)
    assert (failure["target"], failure["notice"]) == (f"file {broken.path}", "run.failed")
    assert failure["error"] == "StorageError"


def test_a_closed_console_is_a_failure_one_can_see(logged: Path) -> None:
    console = io.StringIO()
    console.close()
    notifier = Notifier([NotifyTarget(kind=TargetKind.CONSOLE)], console=console)
    notifier.send(notice())
    assert [failure["target"] for failure in lines(logged)] == ["console"]


def test_a_file_target_needs_a_path() -> None:
    with pytest.raises(ConfigError, match=r"notify\.path"):
        NotifyTarget(kind=TargetKind.FILE)


FILTERS = [
    {"events": frozenset({"run.failed"})},
    {"kinds": frozenset({"heavy"})},
    {"statuses": frozenset({"FAILED"})},
    {"tenants": frozenset({"acme"})},
    {"events": frozenset({"run.done"}), "tenants": frozenset({"acme"})},
]


@pytest.mark.parametrize("filters", [{}, *FILTERS])
def test_a_notice_that_somebody_wants_is_one_that_somebody_hears_of(filters: dict[str, Any]) -> None:
    target = NotifyTarget(kind=TargetKind.CONSOLE, **filters)
    notifier = Notifier([target])
    heard = wanted = 0
    for event, kind, tenant, status in product(
        ("run.failed", "run.done"), ("heavy", "light"), ("acme", None), ("FAILED", None)
    ):
        fields = {"kind": kind, "responseStatus": status}
        wants = target.wants(notice(event, tenant, fields=fields))
        hears = notifier.hears(event, kind, tenant, at_once=True)
        assert hears or not wants
        assert not notifier.hears(event, kind, tenant, at_once=False)
        heard, wanted = heard + hears, wanted + wants
    # What is not made, as a target's events, kinds and tenants leave it out, is what it is for.
    assert heard == (wanted if "statuses" not in filters else 16)
