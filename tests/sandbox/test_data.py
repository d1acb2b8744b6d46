"""The synthetic events: the same for the same seed, with AMC's columns, on every day that is asked for."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from amci.sandbox.data import TABLES, Events
from amci.amcsql.sources import sources

LAST = date(2026, 10, 31)


def _events(folder: Path, **about: Any) -> Events:
    return Events(**{"directory": folder, "seed": 1, "users": 200, "days": 20} | about)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    return _events(tmp_path_factory.mktemp("events")).files(LAST)


def _ask(files: dict[str, list[Path]], table: str, sql: str) -> list[tuple[Any, ...]]:
    rows = duckdb.read_parquet([str(file) for file in files[table]])
    return rows.query("t", sql).fetchall()


@pytest.mark.parametrize("table", TABLES)
def test_columns_are_amcs_in_name_type_and_order(files: dict[str, list[Path]], table: str) -> None:
    have = [(name, kind) for name, kind, *_ in _ask(files, table, "DESCRIBE t")]
    assert have == [(column.name, column.sql_type) for column in sources()[table].columns]


@pytest.mark.parametrize("table", TABLES)
def test_there_are_events_of_many_users(files: dict[str, list[Path]], table: str) -> None:
    ((rows, users),) = _ask(files, table, "SELECT count(*), count(DISTINCT user_id) FROM t")
    assert rows > 30
    assert users > 20


@pytest.mark.parametrize("table", ["dsp_impressions", "sponsored_ads_traffic"])
def test_every_day_has_events(files: dict[str, list[Path]], table: str) -> None:
    at = sources()[table].event_time
    found = _ask(files, table, f"SELECT DISTINCT {at}::DATE FROM t ORDER BY 1")
    assert [day for (day,) in found][:20] == [LAST - timedelta(days=19 - n) for n in range(20)]


def test_every_click_has_its_impression_and_comes_after_it(files: dict[str, list[Path]]) -> None:
    with duckdb.connect() as con:
        for table in ("dsp_impressions", "dsp_clicks"):
            con.execute(f"CREATE TABLE {table} AS FROM read_parquet('{files[table][0]}')")
        ((clicks, matched),) = con.execute(
            "SELECT (SELECT count(*) FROM dsp_clicks), count(*) FROM dsp_clicks c JOIN dsp_impressions i"
            " USING (request_tag) WHERE c.click_dt_utc > i.impression_dt_utc AND c.campaign = i.campaign"
        ).fetchall()
    assert clicks == matched > 0


def test_local_times_are_in_the_advertisers_zone(files: dict[str, list[Path]]) -> None:
    ((hours,),) = _ask(
        files, "dsp_impressions", "SELECT DISTINCT date_diff('hour', impression_dt, impression_dt_utc) FROM t"
    )
    assert hours == 4
    ((wrong,),) = _ask(
        files,
        "dsp_impressions",
        "SELECT count(*) FROM t WHERE impression_hour_utc <> hour(impression_dt_utc)"
        " OR impression_date <> impression_dt::DATE OR impression_day_utc <> day(impression_dt_utc)",
    )
    assert wrong == 0


def test_sales_belong_to_orders(files: dict[str, list[Path]]) -> None:
    ((wrong, orders),) = _ask(
        files,
        "conversions",
        "SELECT count(*) FILTER ((total_product_sales > 0) <> (event_subtype = 'order')),"
        " count(*) FILTER (event_subtype = 'order') FROM t",
    )
    assert wrong == 0
    assert orders > 0


def _content(files: dict[str, list[Path]], table: str) -> list[tuple[Any, ...]]:
    return sorted(_ask(files, table, "SELECT md5(t::VARCHAR) FROM t"))


def test_the_same_seed_gives_the_same_events(tmp_path: Path, files: dict[str, list[Path]]) -> None:
    again = _events(tmp_path).files(LAST)
    other = _events(tmp_path, seed=2).files(LAST)
    for table in TABLES:
        assert _content(again, table) == _content(files, table) != _content(other, table)


def test_files_are_made_once(tmp_path: Path) -> None:
    events = _events(tmp_path, users=40, days=3)
    first = {path: path.stat().st_mtime_ns for paths in events.files(LAST).values() for path in paths}
    second = {path: path.stat().st_mtime_ns for paths in events.files(LAST).values() for path in paths}
    assert first == second
    assert len(first) == len(TABLES)


@pytest.mark.parametrize("table", TABLES)
def test_new_days_are_added_and_old_ones_stay_as_they_were(tmp_path: Path, table: str) -> None:
    grown = _events(tmp_path / "grown", users=40, days=3)
    grown.files(LAST - timedelta(days=2))
    at_once = _events(tmp_path / "once", users=40, days=5)
    assert _content(grown.files(LAST), table) == _content(at_once.files(LAST), table)
