"""What may lie in raw/ beside files: one bad item is passed over, told of, or in quarantine, and stops no other."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amci.kernel.layout import sidecar_of

FOLDER = "adtech/d/t"
GOOD = f"{FOLDER}/good.csv"


def bound_socket(path: Path) -> None:
    # The name of a socket has at most 107 bytes.
    here = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(path.name)
    finally:
        os.chdir(here)


#: What is made at a path, whoever put it there.
ITEMS: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "socket": bound_socket,
    "endless device": lambda path: path.symlink_to("/dev/zero"),
    "standard input": lambda path: path.symlink_to("/dev/stdin"),
    "terminal": lambda path: path.symlink_to("/dev/tty"),
    "file of the kernel": lambda path: path.symlink_to("/proc/self/mem"),
    "dangling link": lambda path: path.symlink_to("nowhere"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "folder": Path.mkdir,
    "folder with a pipe": lambda path: (path.mkdir(), os.mkfifo(path / "a.csv")),
    "link above": lambda path: path.symlink_to(".."),
}
#: Contents of a note beside a file.
NOTES = {
    "nothing": b"",
    "not JSON": b"{",
    "zeros": bytes(1000),
    "not UTF-8": b'{"sql_hash": "\xff"}',
    "deep list": b"[" * 100_000,
    "deep mapping": b'{"a":' * 100_000,
    "deep but whole": b'{"sql_hash":' + b"[" * 900 + b"]" * 900 + b"}",
    "number without end": b'{"sql_hash": ' + b"9" * 100_000 + b"}",
    "large": b'{"sql_hash": "' + b"x" * 5_000_000 + b'"}',
    "long text": b'{"sql_hash": "' + b"x" * 100_000 + b'"}',
    "half a character": b'{"sql_hash": "\\ud800"}',
    "half an id": b'{"correlation_id": "\\ud800"}',
    "zero character": b'{"sql_hash": "a\\u0000b"}',
    "moment before time": b'{"time_window_start": "0001-01-01T00:00:00+14:00"}',
    "moment of a number": b'{"time_window_start": 7}',
    "columns of another kind": b'{"output_columns": 7}',
    "columns of text": b'{"output_columns": ["a", 7]}',
    "odd type": b'{"output_columns": [{"name": "v", "dataType": {"type": "\\ud800"}}]}',
    "odd name": b'{"output_columns": [{"name": {"a": ["\\ud800"]}, "dataType": "LONG"}]}',
}


@pytest.fixture
def d(site: Any) -> Any:
    site.dataset("d")
    return site


@pytest.mark.spread(4)
@pytest.mark.parametrize("kind", ITEMS)
def test_an_item_that_is_no_file_stops_only_itself(d: Any, kind: str) -> None:
    d.put(GOOD, "v\n1\n")
    ITEMS[kind](d.raw / FOLDER / "bad.csv")
    assert d.drain().tally.failed == 0
    assert [key for key, _, _ in d.ledger()] == [GOOD]
    d.put(f"{FOLDER}/later.csv", "v\n2\n")
    assert d.drain().found.new == 1


@pytest.mark.spread(4)
@pytest.mark.parametrize("kind", ITEMS)
def test_an_item_in_the_place_of_a_file_that_was_loaded_changes_nothing(d: Any, kind: str) -> None:
    path = d.put(GOOD, "v\n1\n")
    d.drain()
    path.unlink()
    ITEMS[kind](path)
    assert d.drain().tally.failed == 0
    assert d.ledger() == [(GOOD, 1, 1)]


@pytest.mark.spread(2)
@pytest.mark.parametrize("kind", ITEMS)
def test_an_item_that_takes_the_place_of_a_file_before_it_is_read(d: Any, kind: str) -> None:
    path = d.put(GOOD, "v\n1\n")
    d.put(f"{FOLDER}/other.csv", "v\n2\n")
    with d.engine() as engine:
        engine.ingest.look_everywhere()
        path.unlink()
        ITEMS[kind](path)
        tally = engine.work(threading.Event())
    assert tally.failed == 0
    assert [key for key, _, _ in d.ledger()] == [f"{FOLDER}/other.csv"]


@pytest.mark.spread(4)
@pytest.mark.parametrize(
    "name",
    [
        b"a\nb.csv",
        b"\xff\xfe.csv",
        b"\x1b[31m.csv",
        "\u202e.csv".encode(),
        b"a\\b.csv",
        b"x" * 251 + b".csv",
        "é".encode() * 125 + b".csv",
        b"';DROP TABLE x;--.csv",
        b"{}.csv",
        b"%s%n.csv",
        b" .csv",
    ],
)
def test_a_name_of_any_bytes_is_loaded_or_in_quarantine(d: Any, name: bytes) -> None:
    d.put(GOOD, "v\n1\n")
    os.link(d.raw / GOOD, d.raw / FOLDER / os.fsdecode(name))
    drained = d.drain()
    assert drained.tally.failed == 0
    assert drained.found.new == 2
    assert len(d.ledger()) + len(d.quarantined()) == 2


@pytest.mark.spread(4)
@pytest.mark.parametrize("kind", ITEMS)
def test_a_note_that_is_no_file_keeps_no_row_out(d: Any, kind: str) -> None:
    path = d.put(GOOD, "v\n1\n")
    ITEMS[kind](sidecar_of(path))
    assert d.drain().tally.succeeded == 2
    assert d.ledger() == [(GOOD, 1, 1)]


@pytest.mark.spread(4)
@pytest.mark.parametrize("kind", NOTES)
def test_a_note_of_any_content_keeps_no_row_out(d: Any, kind: str) -> None:
    path = d.put(GOOD, "v\n1\n")
    sidecar_of(path).write_bytes(NOTES[kind])
    assert d.drain().tally.succeeded == 2
    assert d.ledger() == [(GOOD, 1, 1)]
    log = [json.loads(line) for line in d.workspace.log.read_text(encoding="utf-8").splitlines()]
    assert any(line["event"] == "sidecar not usable" for line in log) or kind.startswith("odd")
