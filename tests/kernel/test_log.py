from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from amci.kernel import log
from amci.kernel.errors import DataError, StorageError

Lines = Callable[[], list[dict[str, Any]]]


@dataclass(frozen=True)
class SomeRun:
    run_id: int
    tenant_id: str | None = "acme"
    kind: str = "light"


class StillClock:
    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def wait(self, event: threading.Event, _pause: timedelta) -> bool:
        return event.is_set()


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "logs" / "amci.kernel.log"
    log.configure(None, "INFO", to_stderr=False)


@pytest.fixture
def lines(path: Path) -> Lines:
    log.configure(path, "INFO", to_stderr=False, clock=StillClock())

    def read() -> list[dict]:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

    return read


def test_a_line_is_json_with_moment_level_logger_and_what_was_said(lines: Lines) -> None:
    log.get("lake").info("committed é", rows=3)
    assert lines() == [
        {
            "event": "committed é",
            "rows": 3,
            "level": "info",
            "logger": "amci.lake",
            "at": "2026-01-01T00:00:00.000000Z",
        }
    ]


def test_lines_below_the_level_are_not_written(lines: Lines) -> None:
    log.get("lake").debug("chatter")
    log.get("lake").warning("important")
    assert [line["event"] for line in lines()] == ["important"]


def test_a_line_inside_a_run_says_which(lines: Lines) -> None:
    logger = log.get("worker")
    with log.bound(SomeRun(7)):
        logger.info("one")
    with log.bound(SomeRun(7), SomeRun(8, "other")):
        logger.info("two")
    logger.info("none")
    one, two, none = lines()
    assert (one["run_id"], one["tenant_id"], one["kind"]) == (7, "acme", "light")
    assert (two["run_id"], two["tenant_id"], two["kind"]) == ([7, 8], None, "light")
    assert "run_id" not in none


def test_another_thread_has_no_part_in_the_run(lines: Lines) -> None:
    with log.bound(SomeRun(7)):
        thread = threading.Thread(target=lambda: log.get("other").info("elsewhere"))
        thread.start()
        thread.join()
    assert "run_id" not in lines()[0]


@pytest.mark.parametrize(
    "name",
    [
        "token",
        "refresh_token",
        "accessToken",
        "client_secret",
        "Authorization",
        "password",
        "PASSWD",
        "passphrase",
        "private_key",
        "api-key",
        "encryptionKey",
        "key_material",
        "credentials",
        "Set-Cookie",
    ],
)
def test_what_is_named_like_a_secret_is_dropped_at_any_depth(lines: Lines, path: Path, name: str) -> None:
    log.get("x").info("said", **{name: "hush"}, inner={"list": [{name: "hush", "kept": 1}]})
    assert "hush" not in path.read_text()
    assert lines()[0]["inner"] == {"list": [{"kept": 1}]}


@pytest.mark.parametrize("name", ["key", "lock_key", "batch_key", "idempotency_key", "tenant_id", "author"])
def test_ordinary_keys_are_kept(lines: Lines, name: str) -> None:
    log.get("x").info("said", **{name: "value"})
    assert lines()[0][name] == "value"


def fail(error: Exception) -> None:
    raise error


def test_a_foreign_error_shows_where_but_never_its_text(lines: Lines, path: Path) -> None:
    try:
        int("12 Main Street")
    except ValueError as error:
        log.get("x").error("failed", exc_info=error)
    (line,) = lines()
    assert line["error"] == "ValueError"
    assert "test_log.py" in line["frames"][-1]
    assert "Main Street" not in path.read_text()


def test_an_error_of_ours_shows_its_sentence_and_its_cause(lines: Lines, path: Path) -> None:
    try:
        try:
            fail(ValueError("12 Main Street"))
        except ValueError as cause:
            raise DataError("line 3 has no end") from cause
    except DataError:
        log.get("x").exception("failed")
    (line,) = lines()
    assert (line["error"], line["says"], line["cause"]) == ("DataError", "line 3 has no end", "ValueError")
    assert line["cause_frames"][-1].endswith(" fail")
    assert "Main Street" not in path.read_text()


def test_stderr_gets_the_same_line_where_asked(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(path, "INFO", to_stderr=True, clock=StillClock())
    log.get("x").info("both")
    assert capsys.readouterr().err == path.read_text()


def test_configuring_again_closes_what_was_open(path: Path, tmp_path: Path) -> None:
    log.configure(path, "INFO", to_stderr=False)
    log.configure(tmp_path / "second.log", "INFO", to_stderr=False)
    log.get("x").info("only here")
    assert path.read_text() == ""
    assert "only here" in (tmp_path / "second.log").read_text()


def test_an_unconfigured_log_is_silent(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(None, "INFO", to_stderr=False)
    log.get("x").error("nobody listens")
    logging.getLogger("amci.y").error("nor here")
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""


def test_a_log_that_cannot_be_opened_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        log.configure(tmp_path / "file" / "amci.kernel.log", "INFO", to_stderr=False)


FIRST_LINES = """
import sys, threading
from contextlib import nullcontext
from types import SimpleNamespace
from amci.kernel import log

sys.setswitchinterval(1e-6)
together, failed = threading.Barrier(8), []

def work(number):
    together.wait()
    try:
        with log.bound(SimpleNamespace(run_id=1, tenant_id=None, kind="light")) if number % 2 else nullcontext():
            log.get("a").info("x")
    except BaseException as error:
        failed.append(error)

threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
sys.exit(bool(failed))
"""


def test_threads_may_write_their_first_lines_at_the_same_time() -> None:
    """`amci up` ended with an ImportError if a run and the watch did."""
    for _ in range(3):
        assert subprocess.run([sys.executable, "-c", FIRST_LINES], check=False).returncode == 0
