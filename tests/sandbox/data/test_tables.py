"""AMC's tables as views over the world: names, types, values, what DuckDB does with them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import duckdb
import pytest

from amci.amcsql.sources import Column, Source, audience_sources, sources
from amci.sandbox.data.world import World

Ask = Callable[[str], list[tuple[Any, ...]]]
One = Callable[[str], Any]

LAST = date(2026, 10, 31)
CORE = [
    "dsp_impressions",
    "dsp_clicks",
    "dsp_views",
    "dsp_impressions_by_user_segments",
    "dsp_impressions_by_matched_segments",
    "dsp_video_events_feed",
    "sponsored_ads_traffic",
    "amazon_attributed_events_by_conversion_time",
    "amazon_attributed_events_by_traffic_time",
    "conversions",
    "conversions_with_relevance",
    "conversions_all",
]
EVERY = {**sources(), **audience_sources()}
#: Where the document of values says less than AMC's pages (amc-api 4).
SAID_ELSEWHERE = {"engagement_scope", "halo_code", "video_resume", "video_replay"}


def _told(source: Source, want: Callable[[Column], object]) -> list[Column]:
    return [column for column in source.columns if want(column) and column.name not in SAID_ELSEWHERE]


@pytest.mark.spread(3)
@pytest.mark.parametrize("table", EVERY)
def test_columns_are_amcs_in_name_type_and_order(ask: Ask, table: str) -> None:
    source = EVERY[table]
    amcs = [(column.name, column.sql_type) for column in source.columns]
    hidden = [("amci user", "BIGINT"), ("amci part", "INTEGER")] if source.has_users else []
    assert [row[:2] for row in ask(f"DESCRIBE {table}")] == amcs + hidden


@pytest.mark.parametrize("table", CORE)
def test_values_are_those_amc_knows(ask: Ask, table: str) -> None:
    limited = _told(sources()[table], lambda column: column.values)
    lists = ", ".join(f"list(DISTINCT lower(CAST({column.name} AS VARCHAR)))" for column in limited)
    if not limited:
        return
    (found,) = ask(f"SELECT {lists} FROM {table}")
    wrong = {
        column.name: bad
        for column, have in zip(limited, found, strict=True)
        if (bad := set(filter(None, have or ())) - {value.lower() for value in column.values})
    }
    assert not wrong


@pytest.mark.parametrize("table", CORE)
def test_columns_that_amc_gives_examples_of_are_filled(ask: Ask, table: str) -> None:
    told = _told(sources()[table], lambda column: column.values or column.examples)
    counts = ", ".join(f"count({column.name})" for column in told)
    if not told:
        return
    ((rows, *found),) = ask(f"SELECT count(*), {counts} FROM {table}")
    assert rows > 20
    assert [column.name for column, n in zip(told, found, strict=True) if n == 0] == []


@pytest.mark.parametrize("table", [name for name in CORE if sources()[name].has_users])
def test_a_user_has_one_number_and_one_part(ask: Ask, one: One, table: str) -> None:
    assert one(f'SELECT count(*) FROM {table} WHERE (user_id IS NULL) <> ("amci user" = 0)') == 0
    assert (
        one(
            f"SELECT count(*) FROM (SELECT user_id FROM {table} WHERE user_id IS NOT NULL"
            f' GROUP BY user_id HAVING count(DISTINCT "amci user") > 1 OR count(DISTINCT "amci part") > 1)'
        )
        == 0
    )
    low, high = ask(f'SELECT min("amci part"), max("amci part") FROM {table}')[0]
    assert 0 <= low < high < 2**20


@pytest.mark.parametrize("name", [f"{table}_for_audiences" for table in CORE])
def test_tables_for_audiences_have_the_rows_of_users_one_can_reach(one: One, name: str) -> None:
    table = name.removesuffix("_for_audiences")
    typed = "user_id_type" in sources()[table].by_name
    deal = " AND deal_id IS NULL" if "deal_id" in sources()[table].by_name else ""
    if typed:
        expected = one(f"SELECT count(*) FROM {table} WHERE user_id_type = 'adUserId'{deal}")
        assert one(f"SELECT count(*) FROM {name}") == expected
    assert 0 < one(f"SELECT count(*) FROM {name}") < one(f"SELECT count(*) FROM {table}")
    assert one(f"SELECT count(*) FROM {name} WHERE user_id IS NULL") == 0


def test_deals_are_hidden_from_audiences_alone(one: One) -> None:
    assert one("SELECT count(*) FROM dsp_impressions WHERE deal_id IS NOT NULL") > 100
    assert one("SELECT count(*) FROM dsp_impressions_for_audiences WHERE deal_id IS NOT NULL") == 0


@pytest.mark.parametrize(
    "table",
    ["dsp_impressions", "dsp_impressions_by_user_segments", "sponsored_ads_traffic", CORE[7], CORE[8]],
)
def test_duckdb_reads_only_the_columns_and_rows_it_is_asked_for(ask: Ask, table: str) -> None:
    at = sources()[table].event_time
    asked = f"{at} >= '2026-10-30' AND {at} < '2026-10-31'"
    ((_, plan),) = ask(f"EXPLAIN (FORMAT json) SELECT count(DISTINCT user_id) FROM {table} WHERE {asked}")
    nodes = list(_nodes(json.loads(plan)[0]))
    scans = [node["extra_info"] for node in nodes if node["name"].strip() == "READ_PARQUET"]
    assert any("2026-10-30" in str(scan.get("Filters")) for scan in scans)
    assert not any("postal_code" in str(scan["Projections"]) for scan in scans)
    assert not any(
        "2026-10-30" in str(node["extra_info"]) for node in nodes if node["name"].strip() == "FILTER"
    )


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node["children"]:
        yield from _nodes(child)


def test_only_events_up_to_the_day_that_is_asked_for_are_shown(small_world: World) -> None:
    last = date(2026, 10, 20)
    with duckdb.connect() as con:
        con.execute("CREATE SCHEMA amc")
        for statement in small_world.statements(last):
            con.execute(statement)
        for table in CORE:
            moments = [
                name
                for name in sources()[table].by_name
                if name.endswith("dt_utc") and name.startswith(("event", "conv", "traf", "impr", "click_"))
            ]
            for moment in moments:
                ((found,),) = con.execute(f"SELECT max({moment})::DATE FROM amc.{table}").fetchall()
                assert found <= last, (table, moment)
            assert found is not None
