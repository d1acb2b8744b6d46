"""What people and other programs put where amci reads: one clear sentence, whatever lies there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from amci.kernel.config import read_document, read_text
from amci.kernel.errors import ConfigError
from amci.kernel.files import MOST_BYTES, MOST_DEPTH, bounded_bytes, entries, json_of, source_text, text_of

#: What is made at a path, and what is said of it.
PLACES: dict[str, tuple[Callable[[Path], object], str]] = {
    "nothing": (lambda _: None, "No such file or directory"),
    "pipe": (os.mkfifo, "it is a pipe, not a file"),
    "endless device": (lambda path: path.symlink_to("/dev/zero"), "it is a device, not a file"),
    "folder": (Path.mkdir, "Is a directory"),
    "dangling link": (lambda path: path.symlink_to("nowhere"), "No such file or directory"),
    "link to itself": (lambda path: path.symlink_to(path.name), "Too many levels of symbolic links"),
    "large": (lambda path: path.write_bytes(b" " * (MOST_BYTES + 1)), "it is larger than 4 MiB"),
    "100 MB": (lambda path: path.touch() or os.truncate(path, 100_000_000), "it is larger than 4 MiB"),
    "not text": (lambda path: path.write_bytes(b"\xff\xfe\x00"), "it is not UTF-8 text"),
}
#: Texts that are no document, and what is said of them.
TEXTS = {
    "[" * 100_000: "is nested too deeply",
    "- " * 150 + "x": "is nested too deeply",
    "{a: " * 150: "is nested too deeply",
    "a: &a [*a]": "a value refers to itself",
    "a: &a {b: *a}": "a value refers to itself",
    "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
    + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 10)}]\n" for i in range(9)): (
        "more than 200,000 values"
    ),
    "[" + "x," * 200_001 + "]": "more than 200,000 values",
    "a: " + "9" * 5000: "not of the type it claims to be",
    "!!int x": "not of the type it claims to be",
    "!!float x": "not of the type it claims to be",
    "!!bool x": "not of the type it claims to be",
    "!!timestamp x": "not of the type it claims to be",
    "!!timestamp 2026-99-99": "not of the type it claims to be",
    "!!python/object/apply:os.system [true]": "could not determine a constructor",
    "\x00": "special characters are not allowed",
    "a: [": "line 1",
}


@pytest.mark.parametrize("kind", PLACES)
def test_a_place_without_a_file_to_read_gets_one_sentence(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.yaml"
    make, says = PLACES[kind]
    make(path)
    for read in (text_of, lambda path: read_document(path, "")):
        with pytest.raises(ConfigError) as refused:
            read(path)
        assert str(refused.value).endswith(f"cannot be read: {says}")
    if kind != "not text":
        with pytest.raises(OSError, match=says):
            bounded_bytes(path)


def test_a_folder_that_cannot_be_listed_gets_one_sentence(tmp_path: Path) -> None:
    assert entries(tmp_path / "nowhere", "") == []
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="file: cannot be read: Not a directory"):
        entries(tmp_path / "file", "file")


@pytest.mark.spread(3)
@pytest.mark.parametrize("text", TEXTS, ids=[text[:20] for text in TEXTS])
def test_a_text_that_is_no_document_gets_one_sentence(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read_text(text, "a.yaml")
    assert TEXTS[text] in str(refused.value)
    assert len(refused.value.problems) == 1


def test_what_is_large_and_deep_but_within_bounds_is_read() -> None:
    text = "[" * MOST_DEPTH + "]" * MOST_DEPTH
    assert read_text(text, "") == json_of(text)
    assert len(read_text("[" + "x," * 50_000 + "]", "")) == 50_000
    assert read_text("a: &a [x]\nb: [*a, *a]", "") == {"a": ["x"], "b": [["x"], ["x"]]}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 200 + "1" + "}" * 200, "nested too deeply"),
        ("9" * 5000, "too many digits"),
        (b"\xff", "not UTF-8"),
        ("{", "Expecting"),
    ],
)
def test_json_that_is_none_raises_value_error_in_one_sentence(text: str | bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says) as refused:
        json_of(text)
    assert "\n" not in str(refused.value)


def test_a_pipe_that_a_person_names_is_read(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, "é\r\n".encode())
    os.close(writing)
    assert source_text(f"/dev/fd/{reading}") == "é\n"
    os.close(reading)
    with pytest.raises(ConfigError, match="it is a device"):
        source_text("/dev/zero")
    (tmp_path / "file").write_text("x", encoding="utf-8")
    assert source_text(str(tmp_path / "file")) == "x"
