"""The paid tables come out the same whenever and in whatever stretches they are made."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest

from amci.sandbox.data.families import CORE, PAID, Family
from amci.sandbox.data.generate import EventGenerator

FIRST, LAST = date(2026, 9, 28), date(2026, 10, 5)
#: What was bought depends on what ads led to, so that has to be there; its own files are not looked at here.
FAMILIES = (*PAID, *(replace(family, files=(), views={}) for family in CORE))
FILES = [made.name for family in PAID for made in family.files]
#: Those that are made without anything from the ad tables.
ALONE = tuple(
    replace(family, files=tuple(made for made in family.files if made.name != "amazon_retail_purchases"))
    for family in PAID
)
FILES_ALONE = [made.name for family in ALONE for made in family.files]


def _made(
    folder: Path, *stretches: tuple[date, date], families: tuple[Family, ...] = FAMILIES, seed: int = 1
) -> Path:
    making = EventGenerator(folder=folder, seed=seed, scale=0.003, families=families)
    for first, last in stretches:
        assert list(making.stretch(first, last, last_table="segment_days"))
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _made(tmp_path_factory.mktemp("whole"), (FIRST, LAST))


@pytest.fixture(scope="module")
def in_parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    middle = FIRST + timedelta(days=3)
    return _made(tmp_path_factory.mktemp("parts"), (FIRST, middle), (middle + timedelta(days=1), LAST))


@pytest.fixture(scope="module")
def other_seed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _made(tmp_path_factory.mktemp("other"), (FIRST, LAST), families=ALONE, seed=2)


def _left(one: Path, other: Path, name: str) -> tuple[int, int]:
    """How many rows of one are not in the other, and how many there are."""
    mine, theirs = (f"read_parquet('{folder}/{name}/*.parquet')" for folder in (one, other))
    with duckdb.connect() as con:
        found = con.execute(
            f"SELECT (SELECT count(*) FROM (FROM {mine} EXCEPT ALL FROM {theirs})), (SELECT count(*) FROM {mine})"
        ).fetchone()
    assert found is not None
    return found[0], found[1]


@pytest.mark.spread(3)
@pytest.mark.parametrize("name", FILES)
def test_a_stretch_that_is_made_in_two_parts_has_the_same_rows(
    whole: Path, in_parts: Path, name: str
) -> None:
    assert _left(whole, in_parts, name)[0] == _left(in_parts, whole, name)[0] == 0
    assert _left(whole, in_parts, name)[1] > 0


@pytest.mark.parametrize(
    "name", [name for name in FILES_ALONE if name not in ("segment_metadata", "segment_days")]
)
def test_another_seed_makes_other_rows(whole: Path, other_seed: Path, name: str) -> None:
    left, rows = _left(whole, other_seed, name)
    assert left > rows * 0.9


def test_the_same_files_come_out_byte_for_byte(whole: Path, tmp_path: Path) -> None:
    again = _made(tmp_path, (FIRST, LAST), families=ALONE)
    for name in FILES_ALONE:
        files = [file.relative_to(whole) for file in sorted((whole / name).iterdir())]
        assert [(again / file).read_bytes() for file in files] == [
            (whole / file).read_bytes() for file in files
        ]


@pytest.mark.parametrize(
    ("name", "moment"),
    [
        ("amazon_brand_store_page_views", "event_dt_utc"),
        ("amazon_brand_store_engagement_events", "event_dt_utc"),
        ("amazon_pvc_streaming_events_feed", "pv_playback_dt_utc"),
        ("amazon_retail_purchases", "purchase_dt_utc"),
        ("adserver_traffic", "event_dt_utc"),
        ("adserver_conversions_with_brand", "event_dt_utc"),
    ],
)
def test_events_are_of_the_days_that_are_made(whole: Path, name: str, moment: str) -> None:
    with duckdb.connect() as con:
        found = con.execute(
            f"SELECT min({moment})::DATE, max({moment})::DATE FROM read_parquet('{whole}/{name}/*.parquet')"
        ).fetchone()
    assert found is not None
    assert FIRST <= found[0] <= found[1] <= LAST
