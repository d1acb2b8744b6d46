"""Connections of DuckDB with its extensions."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest

from amci.lake.catalog import duck, extensions


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duck.connect(memory_limit=2**28, threads=1) as con:
        yield con


def test_the_extensions_are_there(con: duckdb.DuckDBPyConnection) -> None:
    loaded = con.execute("SELECT extension_name FROM duckdb_extensions() WHERE loaded").fetchall()
    assert {("ducklake",), ("sqlite_scanner",)} <= set(loaded)


def test_whoever_has_the_connection_cannot_load_code_that_nobody_signed(
    con: duckdb.DuckDBPyConnection,
) -> None:
    assert con.execute("SELECT current_setting('allow_unsigned_extensions')").fetchall() == [(False,)]
    with pytest.raises(duckdb.InvalidInputException):
        con.execute("SET allow_unsigned_extensions = true")


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], int]:
    """How many extensions a process that starts now has checked."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    loaded: list[str] = []
    monkeypatch.setattr(extensions, "_load", lambda _, extension, __: loaded.append(extension))

    def count() -> int:
        loaded.clear()
        extensions.checked.__wrapped__()
        return len(loaded)

    return count


def test_a_signature_is_checked_once_and_again_if_the_file_is_another(
    checks: Callable[[], int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert [checks(), checks()] == [2, 0]
    binary = tmp_path / "ducklake.duckdb_extension"
    binary.write_bytes(b"first")
    own = extensions._binary
    monkeypatch.setattr(extensions, "_binary", lambda e, p: binary if e == "ducklake" else own(e, p))
    assert [checks(), checks()] == [2, 0]
    binary.write_bytes(b"another")
    assert [checks(), checks()] == [2, 0]
    other = binary.with_name("other")
    other.write_bytes(b"another")
    shutil.copystat(binary, other)
    other.replace(binary)
    assert [checks(), checks()] == [2, 0]


@pytest.mark.parametrize("text", ["", "{", "{}", "[1]", '["/x 1 2 3 4 5"]', "[" * 5000])
def test_a_record_of_checks_that_says_nothing_is_written_again(
    checks: Callable[[], int], tmp_path: Path, text: str
) -> None:
    checks()
    (record,) = (tmp_path / "cache" / "amci").iterdir()
    record.write_text(text)
    assert [checks(), checks()] == [2, 0]


def test_what_others_may_have_written_is_not_believed(checks: Callable[[], int], tmp_path: Path) -> None:
    checks()
    (record,) = (tmp_path / "cache" / "amci").iterdir()
    assert record.stat().st_mode & 0o777 == 0o600
    record.chmod(0o622)
    assert checks() == 2


def test_without_a_cache_signatures_are_checked_each_time(checks: Callable[[], int], tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    assert [checks(), checks()] == [2, 2]


def test_an_extension_without_a_package_is_installed_and_checked_each_time(
    checks: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extensions, "_binary", lambda _, __: None)
    assert [checks(), checks()] == [2, 2]
