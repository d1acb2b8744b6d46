"""Which folders a look lists, and that what it leaves out has nothing new."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from amci.app.engine import Engine
from amci.lake.landing import folder_times, roots
from amci.lake.landing.ingest import IngestCounts


@pytest.fixture
def d(site: Any) -> Any:
    site.dataset("d")
    for folder in ("t", "u", "u/deeper"):
        site.put(f"adtech/d/{folder}/a.csv", "v\n1\n")
    return site


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys of the folders that were listed."""
    keys: list[str] = []
    listing = roots._listing

    def noting(root: roots.Root, key: str, *rest: str) -> roots.Listing:
        keys.append(key)
        return listing(root, key, *rest)

    monkeypatch.setattr(roots, "_listing", noting)
    return keys


def looked(d: Any, engine: Engine) -> IngestCounts:
    """What a look finds when the folders have been as they are for an hour."""
    d.clock.turn(timedelta(hours=1))
    return engine.ingest.look_everywhere()


def test_a_folder_that_has_not_changed_is_not_listed_again(d: Any, listed: list[str]) -> None:
    with d.engine() as engine:
        assert looked(d, engine).new == 3
        assert sorted(listed) == ["", "adtech", "adtech/d", "adtech/d/t", "adtech/d/u", "adtech/d/u/deeper"]
        for change, lists in (
            (lambda: None, [""]),
            (lambda: d.put("adtech/d/t/b.csv", "v\n2\n"), ["", "adtech/d/t"]),
            (
                lambda: d.put("adtech/d/new/er/a.csv", "v\n3\n"),
                ["", "adtech/d", "adtech/d/new", "adtech/d/new/er"],
            ),
        ):
            change()
            listed.clear()
            assert looked(d, engine).new == (len(lists) > 1)
            assert sorted(listed) == lists


def test_what_comes_goes_or_is_renamed_is_seen_at_once(d: Any) -> None:
    base = d.raw / "adtech/d"

    def swap() -> None:
        (base / "t").rename(base / "x")
        (base / "u").rename(base / "t")
        (base / "x").rename(base / "u")

    changes: list[tuple[Callable[[], Any], int, int]] = [
        ((base / "t/a.csv").unlink, 0, 1),
        (lambda: d.put("adtech/d/t/a.csv", "v\n22\n"), 1, 0),
        (lambda: (base / "u").rename(base / "w"), 2, 2),
        (lambda: shutil.rmtree(base / "w/deeper"), 0, 1),
        (lambda: (base / "w").rename(base / "u"), 0, 1),
        (swap, 2, 0),
    ]  # fmt: skip
    with d.engine() as engine:
        looked(d, engine)
        for number, (change, new, removed) in enumerate(changes):
            change()
            found = looked(d, engine)
            assert (found.new, found.removed) == (new, removed), number


def test_an_old_file_written_over_in_place_is_seen_by_the_daily_look_or_if_asked(
    d: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = d.raw / "adtech/d/t/a.csv"
    with d.engine() as engine:

        def changed_while_it_was_read() -> IngestCounts:
            (found,) = engine.state.read(
                "SELECT object_id, version FROM objects WHERE key = 'adtech/d/t/a.csv'"
            )
            engine.objects.mark_unseen(*found)
            return engine.ingest.look_everywhere()

        looked(d, engine)
        path.write_text("v\n22\n", encoding="utf-8")
        assert looked(d, engine).new == 1, "it is among the newest"
        monkeypatch.setattr(folder_times, "_NEWEST", 0)
        for days, again in (
            (0, lambda: engine.ingest.look_everywhere(is_full=True)),
            (0, lambda: engine.ingest.look("raw", "adtech/d/t")),
            (0, changed_while_it_was_read),
            (1, engine.ingest.look_everywhere),
            (-3, engine.ingest.look_everywhere),
        ):
            path.write_text(f"{path.read_text(encoding='utf-8')}3\n", encoding="utf-8")
            d.age(path)
            assert looked(d, engine).new == 0
            d.clock.turn(timedelta(days=days))
            d.age(path)
            assert again().new == 1


def test_a_folder_whose_time_does_not_tell_is_listed_each_time(d: Any, listed: list[str]) -> None:
    now = d.clock.now().timestamp()
    late = d.put("adtech/d/t/late.csv", "v\n1\n")
    (d.raw / "adtech/d/u/link.csv").symlink_to(d.raw / "adtech/d/t/a.csv")
    (d.raw / os.fsdecode(b"adtech/d/u/deeper/odd\xff")).mkdir()
    with d.engine() as engine:
        for hours in (0, 0, 1):
            os.utime(late, (now + 90_000 + hours, now + 90_000 + hours))  # it settles
            listed.clear()
            d.clock.turn(timedelta(hours=hours))
            engine.ingest.look_everywhere()
            assert len(listed) == 7, "they changed just now, and may do so without showing it"
        listed.clear()
        looked(d, engine)
        assert sorted(listed) == [
            "",
            "adtech/d/t",
            "adtech/d/u",
            "adtech/d/u/deeper",
            "adtech/d/u/deeper/odd\\xff",
        ]


def test_a_root_elsewhere_and_one_whose_folders_keep_their_times_are_compared_as_a_whole(
    d: Any, listed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with d.engine() as engine:
        looked(d, engine)
        engine.state.write("UPDATE full_looks SET path = '/elsewhere'")
        listed.clear()
        looked(d, engine)
        assert len(listed) == 6
        same = roots.Stamp(1, 1, 1)
        monkeypatch.setattr(roots.Stamp, "of", classmethod(lambda _, __: same))
        engine.ingest.look_everywhere(is_full=True)
        d.put("adtech/d/t/b.csv", "v\n2\n")
        assert looked(d, engine).new == 0
        assert engine.ingest.look_everywhere(is_full=True).new == 1
        d.put("adtech/d/t/c.csv", "v\n3\n")
        assert looked(d, engine).new == 1, "it has been found out"


def test_whatever_happens_a_full_look_finds_nothing_that_the_others_did_not(d: Any) -> None:
    chance = random.Random(5)  # noqa: S311 - no secret
    base: Path = d.raw / "adtech/d"
    with d.engine() as engine:
        looked(d, engine)
        for number in range(60):
            files = sorted(path for path in base.rglob("*.csv"))
            folders = sorted(path for path in base.rglob("*") if path.is_dir())
            folder, file = chance.choice(folders), chance.choice(files)
            match chance.randrange(6):
                case 0 | 1:
                    d.put(f"{folder.relative_to(d.raw)}/{number}.csv", f"v\n{number}\n")
                case 2:
                    d.put(f"{folder.relative_to(d.raw)}/f{number}/x.csv", "v\n1\n")
                case 3 if len(files) > 3:
                    file.unlink()
                case 4:
                    file.rename(file.with_name(f"r{number}.csv"))
                case 5 if folder.is_dir():
                    folder.rename(folder.with_name(f"m{number}"))
            d.clock.turn(timedelta(minutes=1))
            engine.ingest.look_everywhere()
            if number % 6 == 5:
                full = engine.ingest.look_everywhere(is_full=True)
                assert (full.new, full.removed) == (0, 0), number
