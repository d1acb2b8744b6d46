"""The world comes out the same whenever and in whatever stretches it is made, and is made once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from amci.amcsql.sources import sources
from amci.kernel.errors import StorageError
from amci.sandbox.data import generate
from amci.sandbox.data.world import World

LAST = date(2026, 10, 14)
DAYS = 6
TABLES = [name for name, source in sources().items() if source.event_time]
#: Files that are all about what happened.
EVENTS = ["dsp", "ads", "conversion_events", "relevant", "attributed_dsp", "attributed_ads"]


def _world(folder: Path, **about: Any) -> World:
    return World(**{"directory": folder, "seed": 1, "scale": 0.003, "days": DAYS} | about)


@contextmanager
def _session(world: World, last: date = LAST) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        con.execute("CREATE SCHEMA amc")
        for statement in world.statements(last):
            con.execute(statement)
        con.execute("USE amc")
        yield con


def _content(world: World) -> dict[str, tuple[Any, ...]]:
    """How many rows the files of each table have, and a sum over all that is in them."""
    with duckdb.connect() as con:
        return {
            folder.name: con.execute(_digest(f"read_parquet('{folder}/*.parquet')")).fetchall()[0]
            for folder in world.folder.iterdir()
        }


def _day(world: World, day: date) -> dict[str, tuple[Any, ...]]:
    """The same for the events of a day in AMC's tables."""
    with _session(world, day) as con:
        return {
            name: con.execute(
                _digest(f"{name} WHERE {sources()[name].event_time} >= DATE '{day}'")
            ).fetchall()[0]
            for name in TABLES
        }


def _digest(relation: str) -> str:
    return f"SELECT count(*), sum(md5_number(CAST(t AS VARCHAR)) % 1000000007) FROM (FROM {relation}) AS t"


def _stamps(world: World) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in world.folder.rglob("*.parquet")}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = _world(tmp_path_factory.mktemp("whole"))
    world.prepare(LAST)
    return world


def test_the_same_seed_gives_the_same_events(tmp_path: Path, whole: World) -> None:
    again, other = _world(tmp_path / "again"), _world(tmp_path / "other", seed=2)
    again.prepare(LAST)
    other.prepare(LAST)
    expected, found = _content(whole), _content(other)
    assert _content(again) == expected
    assert [name for name in EVENTS if found[name] == expected[name]] == []


def test_rows_lie_in_the_same_order_again(tmp_path: Path, whole: World) -> None:
    again = _world(tmp_path)
    again.prepare(LAST)
    for path in whole.folder.rglob("*.parquet"):
        twin = again.folder / path.relative_to(whole.folder)
        first, second = (duckdb.execute("FROM read_parquet(?)", [str(p)]).fetchall() for p in (path, twin))
        assert first == second, path


def test_a_day_made_alone_is_the_day_made_among_others(tmp_path: Path, whole: World) -> None:
    alone = _world(tmp_path)
    alone.make(LAST, LAST)
    expected, made = _day(whole, LAST), _day(alone, LAST)
    assert made == expected
    assert expected["dsp_impressions"][0] > 50
    assert expected["amazon_attributed_events_by_conversion_time"][0] > 5


def test_many_people_are_made_a_part_at_a_time(
    tmp_path: Path, whole: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generate, "_PEOPLE_AT_ONCE", 130)
    monkeypatch.setattr(generate, "_PERSON_DAYS_AT_ONCE", 700)
    parted = _world(tmp_path)
    parted.prepare(LAST)
    assert len(list((parted.folder / "dsp").iterdir())) == DAYS / 2
    assert _content(parted) == _content(whole)


def test_new_days_are_added_and_old_ones_stay_as_they_were(tmp_path: Path, whole: World) -> None:
    grown = _world(tmp_path, days=DAYS - 2)
    grown.prepare(LAST - timedelta(days=2))
    before = _stamps(grown)
    grown.prepare(LAST)
    assert before.items() <= _stamps(grown).items()
    assert _content(grown) == _content(whole)


def test_files_are_made_once(whole: World) -> None:
    before, told = _stamps(whole), []
    whole.prepare(LAST, progress=lambda done, of: told.append((done, of)))
    assert _stamps(whole) == before
    assert told == []


def test_holes_between_days_are_filled(tmp_path: Path, whole: World) -> None:
    world, first = _world(tmp_path), LAST - timedelta(days=DAYS - 1)
    world.make(first, first)
    world.make(LAST, LAST)
    told: list[tuple[int, int]] = []
    world.make(first, LAST, progress=lambda done, of: told.append((done, of)))
    assert told == [(DAYS - 2, DAYS - 2)]
    assert _content(world) == _content(whole)


def test_what_a_killed_process_left_is_not_shown(tmp_path: Path) -> None:
    world = _world(tmp_path, days=2)
    world.prepare(LAST)
    (ads,) = (world.folder / "ads").glob("*.parquet")
    with _session(world) as con:
        expected = con.execute("SELECT count(*) FROM sponsored_ads_traffic").fetchall()
    ads.with_name(f"{LAST}_{LAST}.parquet").write_bytes(ads.read_bytes())
    with _session(world) as con:
        assert con.execute("SELECT count(*) FROM sponsored_ads_traffic").fetchall() == expected


def test_nothing_is_left_beside_the_files(whole: World) -> None:
    assert [path.name for path in whole.folder.rglob("*") if path.name.startswith(".")] == []


def test_a_world_without_days_has_empty_tables(tmp_path: Path) -> None:
    with _session(_world(tmp_path)) as con:
        assert {con.execute(f"SELECT count(*) FROM {name}").fetchall()[0] for name in sources()} == {(0,)}


def test_versions_tell_worlds_apart(tmp_path: Path) -> None:
    worlds = [
        _world(tmp_path),
        _world(tmp_path, seed=2),
        _world(tmp_path, scale=0.1),
        _world(tmp_path, days=9),
    ]
    assert len({world.version for world in worlds}) == len({world.folder for world in worlds}) == 4


def test_a_disk_that_refuses_is_told(tmp_path: Path) -> None:
    (tmp_path / "events").write_text("in the way")
    with pytest.raises(StorageError):
        _world(tmp_path).prepare(LAST)


@pytest.mark.parametrize("last", [date(2024, 1, 2), date(2032, 2, 29)])
def test_every_date_has_a_world(tmp_path: Path, last: date) -> None:
    world = _world(tmp_path, days=1)
    world.prepare(last)
    with _session(world, last) as con:
        for table in ("dsp_impressions", "sponsored_ads_traffic", "conversions_all"):
            ((rows,),) = con.execute(f"SELECT count(*) FROM {table}").fetchall()
            assert rows > 0
