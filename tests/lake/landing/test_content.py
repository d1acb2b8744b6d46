"""A file that was replaced by one of the same name, size and time, and one that only looks as if it were."""

from __future__ import annotations

import os
import shutil
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from amci.app.engine import Engine
from amci.lake.landing import ingest
from amci.lake.landing.content import SMALL

LINES = SMALL // 2 + 1000  # of two bytes
LARGE = "v\n" + "1\n" * LINES
#: As long, with the same two ends.
LARGER_INSIDE = LARGE[: SMALL // 2] + "7\n" + LARGE[SMALL // 2 + 2 :]


@pytest.fixture
def d(site: Any) -> Any:
    site.dataset("d")
    return site


def in_place(path: Path, content: str) -> None:
    """Write over a file and leave its size and time as they were."""
    before = path.stat()
    path.write_text(content, encoding="utf-8")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size


def by_rename(path: Path, content: str) -> None:
    """The same, by another file that takes its name."""
    other = path.with_name(".other.part")
    shutil.copy2(path, other)
    in_place(other, content)
    other.replace(path)


def totals(site: Any) -> list[tuple[Any, ...]]:
    return site.query("SELECT key, version, rows FROM amci.objects ORDER BY key")  # type: ignore[no-any-return]


def done(engine: Engine) -> int:
    return engine.drain(threading.Event()).found.new


def test_a_replaced_file_of_the_same_size_and_time_is_a_new_version(d: Any) -> None:
    small, large = d.put("adtech/d/t/a.csv", "v\n1\n"), d.put("adtech/d/u/a.csv", LARGE)
    broken = d.put("adtech/d/t/broken.csv", 'v,w\n"1,2\n')
    with d.engine() as engine:
        assert done(engine) == 3
        in_place(small, "v\n2\n")
        by_rename(large, LARGER_INSIDE)
        broken.chmod(0o640)  # what was refused is not tried again for a right that changed
        assert done(engine) == 2
        by_rename(small, "v\n3\n")
        in_place(broken, "v,w\n1,22\n")
        in_place(large, LARGE[:-2] + "9\n")
        # The ends of the large one differ, so the look itself says so.
        assert engine.ingest.look_everywhere().new == 3
        engine.work(threading.Event())
    assert d.query("SELECT v FROM adtech_d.t ORDER BY v") == [(1,), (3,)]
    assert d.query("SELECT sum(v) FROM adtech_d.u") == [(LINES + 8,)]
    assert totals(d) == [
        ("adtech/d/t/a.csv", 3, 1), ("adtech/d/t/broken.csv", 2, 1), ("adtech/d/u/a.csv", 3, LINES)
    ]  # fmt: skip


def test_a_restored_directory_and_an_old_state_load_nothing_again(
    d: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    d.put("adtech/d/t/a.csv", "v\n1\n")
    d.put("adtech/d/t/empty.csv", "")
    d.put("adtech/d/u/a.csv", LARGE)
    with d.engine() as engine:
        assert done(engine) == 3
        before = d.runs(), totals(d)
        for most, compared in ((ingest._AT_ONCE, 1), (0, 3)):
            engine.state.write("UPDATE objects SET checked_at = NULL")
            monkeypatch.setattr(ingest, "_AT_ONCE", most)
            shutil.copytree(d.raw, d.raw.with_name("copy"))
            shutil.rmtree(d.raw)
            assert engine.ingest.look_everywhere().removed == 0, "a root that is missing says nothing"
            d.raw.with_name("copy").rename(d.raw)
            assert done(engine) == 0
            assert d.state("SELECT sum(is_suspect), count(checked_at) FROM objects") == [(0, compared)]
        engine.state.write("UPDATE objects SET inode = NULL, ctime_ns = NULL, checked_at = NULL")
        assert done(engine) == 0
        assert d.state("SELECT count(inode), count(ctime_ns), count(checked_at) FROM objects") == [(3, 3, 0)]
        assert (d.runs(), totals(d)) == before


def test_the_daily_look_reads_what_stat_does_not_tell(d: Any) -> None:
    for name in "abc":
        d.put(f"adtech/d/t/{name}.csv", "v\n1\n")
    stop, day = threading.Event(), timedelta(days=1)
    with d.engine() as engine:
        done(engine)
        in_place(d.raw / "adtech/d/t/b.csv", "v\n2\n")
        found = (d.raw / "adtech/d/t/b.csv").stat()
        # As a file system does that keeps no change times, or as an older amci left it.
        engine.state.write("UPDATE objects SET inode = ?, ctime_ns = ?", (found.st_ino, found.st_ctime_ns))
        d.raw.joinpath("adtech/d/t/a.csv").unlink()
        assert not engine.contents.check(stop, before=d.clock.now() - day).files
        d.clock.turn(2 * day)
        one = engine.contents.check(stop, before=d.clock.now() - day, most_bytes=1)
        assert (one.files, one.is_whole) == (1, False)
        rest = engine.contents.check(stop, before=d.clock.now() - day)
        assert (rest.files, rest.is_whole) == (2, True)
        assert one.replaced + rest.replaced == ("adtech/d/t/b.csv",)
        assert not engine.contents.check(stop, before=d.clock.now() - day).files
        engine.state.write("UPDATE objects SET checked_at = '2999-01-01' WHERE key LIKE '%c.csv'")
        assert engine.contents.check(stop, before=d.clock.now() - day).files == 1, "the clock was ahead"
        stop.set()
        assert engine.contents.check(stop, before=d.clock.now()) == type(one)(is_whole=False)
        done(engine)
    assert d.query("SELECT sum(v) FROM adtech_d.t") == [(4,)]
