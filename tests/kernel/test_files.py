from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from amci.kernel.errors import ConfigError, StorageError
from amci.kernel.files import on_fault_point, replacing, source_text, storage_errors, write_bytes


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.txt"
    write_bytes(path, b"one")
    write_bytes(path, b"two", mode=0o600)
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(path.parent) == ["a.txt"]  # noqa: PTH208 - names are what is asked


def test_a_block_that_raises_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_bytes(path, b"old")
    with pytest.raises(ValueError, match="half"), replacing(path) as part:  # noqa: PT012 - the writing is the point
        part.write_bytes(b"ne")
        raise ValueError("half")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_file_takes_its_name_only_after_it_is_on_the_disk(tmp_path: Path) -> None:
    path, seen = tmp_path / "a.txt", []
    on_fault_point(lambda name: seen.append((name, path.exists())))
    try:
        write_bytes(path, b"x")
    finally:
        on_fault_point(None)
    assert seen == [
        ("files.before_fsync", False),
        ("files.before_rename", False),
        ("files.after_rename", True),
    ]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO])
def test_what_the_disk_refuses_is_said_with_a_hint(number: int) -> None:
    with pytest.raises(StorageError, match="write a") as refused, storage_errors("write a"):
        raise OSError(number, "refused")
    assert refused.value.hint
    assert refused.value.retryable


def test_a_file_that_is_not_there_stays_that() -> None:
    with pytest.raises(FileNotFoundError), storage_errors("read a"):
        Path("/nowhere/at/all").read_bytes()


@pytest.mark.parametrize(
    ("content", "why"), [(None, "No such file or directory"), (b"\xff\xfe", "it is not UTF-8 text")]
)
def test_a_file_that_cannot_be_read_is_named_with_the_reason(
    tmp_path: Path, content: bytes | None, why: str
) -> None:
    path = tmp_path / "customers.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as refused:
        source_text(str(path))
    assert str(refused.value) == f"{path}: cannot be read: {why}"
    assert refused.value.hint == "check the path"
