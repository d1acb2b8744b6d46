from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def d(site: Any) -> Any:
    site.dataset("d")
    return site


def test_a_look_finds_more_files_than_it_notes_in_one_transaction_and_the_next_one_nothing(d: Any) -> None:
    for folder in range(5):
        path = d.raw / "adtech" / "d" / f"t{folder}"
        path.mkdir(parents=True)
        for n in range(500):
            os.close(os.open(f"{path}/{n}.csv", os.O_CREAT | os.O_WRONLY))
            os.utime(f"{path}/{n}.csv", (1_000_000_000, 1_000_000_000))
    with d.engine() as engine:
        assert engine.ingest.look_everywhere().new == 2_500
        assert engine.ingest.look_everywhere().new == 0
    assert d.state("SELECT count(*), count(DISTINCT idempotency_key) FROM runs") == [(2_500, 2_500)]
    assert d.state("SELECT count(DISTINCT key) FROM objects") == [(2_500,)]


def test_odd_names_go_to_quarantine_once(d: Any) -> None:
    folder = os.fsencode(d.raw) + b"/adtech/d/t"
    Path(os.fsdecode(folder)).mkdir(parents=True)
    for name in (b"latin-\xe9.csv", b"new\nline.csv"):
        path = Path(os.fsdecode(folder + b"/" + name))
        path.write_bytes(b"v\n1\n")
        d.age(path)
    with d.engine() as engine:
        assert engine.ingest.look("raw").unroutable == 2
        assert engine.ingest.look("raw").new == 0
        assert engine.ingest.look("raw", "adtech/d").new == 0
    assert set(d.quarantined()) == {"adtech/d/t/latin-\\xe9.csv", "adtech/d/t/new\\nline.csv"}


def test_a_look_at_an_odd_folder_notes_nothing_twice(d: Any) -> None:
    path = Path(os.fsdecode(os.fsencode(d.raw) + b"/odd\xff/a.csv"))
    path.parent.mkdir()
    path.write_bytes(b"v\n1\n")
    d.age(path)
    with d.engine() as engine:
        assert engine.ingest.look("raw", "odd\udcff").new == 1
        assert engine.ingest.look("raw", "odd\udcff").new == 0


def test_folders_called_dot_dot_dot_and_percent_are_folders(d: Any) -> None:
    d.put("adtech/d/.../a.csv", "v\n1\n")
    d.put("adtech/d/..a/a.csv", "v\n1\n")
    d.put("adtech/d/%2e%2e/a.csv", "v\n1\n")
    d.drain()
    assert [key for key, _, _ in d.ledger()] == ["adtech/d/%2e%2e/a.csv"]
    staged = list(d.workspace.home.rglob("*.parquet"))
    assert staged
    assert all(p.is_relative_to(d.workspace.home / "stage") for p in staged)


def test_a_folder_that_became_a_file_and_a_root_that_vanished_are_looked_at_calmly(d: Any) -> None:
    d.put("adtech/d/t/a.csv", "v\n1\n").unlink()
    (d.raw / "adtech/d/t").rmdir()
    (d.raw / "adtech/d/t").write_text("x", encoding="utf-8")
    with d.engine() as engine:
        assert engine.ingest.look("raw", "adtech/d/t").new == 0
        (d.raw / "adtech/d/t").unlink()
        d.raw.rename(d.raw.with_name("unmounted"))
        assert engine.ingest.look_everywhere().removed == 0


def test_what_was_renamed_into_place_need_not_settle(d: Any) -> None:
    path = d.put("adtech/d/t/a.csv", "v\n1\n")
    now = d.clock.now().timestamp()
    os.utime(path, (now + 60, now + 60))
    with d.engine() as engine:
        assert engine.ingest.look("raw", "adtech").settling == 1
        assert engine.ingest.look("raw", "adtech", renamed={"adtech/d/t/a.csv"}).new == 1


def test_a_file_that_comes_back_unchanged_is_no_new_version(d: Any) -> None:
    path = d.put("adtech/d/t/a.csv", "v\n1\n")
    d.drain()
    away = path.rename(d.workspace.home / "away")
    assert d.drain().found.removed == 1
    away.rename(path)
    assert d.drain().found.new == 0
    assert d.state("SELECT removed_at, version FROM objects") == [(None, 1)]
