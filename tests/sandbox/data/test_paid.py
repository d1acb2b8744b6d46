"""The tables one subscribes to: AMC's columns, people, values, and how they hang together."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import duckdb
import pytest

from amci.amcsql.sources import sources
from amci.sandbox.data.world import World

LAST = date(2026, 10, 31)
TABLES = [
    name
    for name, source in sources().items()
    if source.category in ("PAID", "AD_SERVER_SUNSET") and name != "conversions_all"
]
WITH_USERS = [name for name in TABLES if sources()[name].has_users]
#: What AMC's pages and instructional queries say a column may have.
VALUES = {
    "amazon_brand_store_page_views.device_type": "Mobile_app Desktop Mobile_web Tablet_app Tablet_web Kindle_app",
    "amazon_brand_store_page_views.ingress_type": "0 1 2 4 6 7 8 9 10 11",
    "amazon_brand_store_engagement_events.event_type": "IMPRESSION CLICK SCROLL VIDEO",
    "amazon_brand_store_engagement_events.event_sub_type": "ASIN_RENDER 100PPLAYED 5SPLAYED ADDTOCART BEGIN"
    " DETAILPAGE GOTODETAILPAGE NAVIGATION PREORDERADDTOCART PROCEEDTOCHECKOUT QUICKLOOK SHOPPINGCART",
    "amazon_retail_purchases.purchase_order_method": "S B 1",
    "amazon_retail_purchases.purchase_order_type": "Prime NON-PRIME",
    "experian_vehicle_purchases.new_or_used": "N U",
    "amazon_your_garage.marketplace_name": "US MX CA",
}


@pytest.fixture(scope="module")
def amc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    world = World(directory=tmp_path_factory.mktemp("world"), seed=1, scale=0.008, days=35)
    world.prepare(LAST)
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        con.execute("CREATE SCHEMA amc")
        for statement in world.statements(LAST):
            con.execute(statement)
        con.execute("USE amc")
        yield con


def _one(amc: duckdb.DuckDBPyConnection, sql: str) -> Any:
    found = amc.execute(sql).fetchall()
    assert len(found) == 1
    return found[0][0] if len(found[0]) == 1 else found[0]


@pytest.mark.spread(3)
@pytest.mark.parametrize("table", TABLES)
def test_columns_are_amcs_in_name_type_and_order(amc: duckdb.DuckDBPyConnection, table: str) -> None:
    hidden = [("amci user", "BIGINT"), ("amci part", "INTEGER")] if sources()[table].has_users else []
    amcs = [(column.name, column.sql_type) for column in sources()[table].columns]
    assert [row[:2] for row in amc.execute(f"DESCRIBE {table}").fetchall()] == amcs + hidden


@pytest.mark.parametrize("table", TABLES)
def test_every_column_has_values(amc: duckdb.DuckDBPyConnection, table: str) -> None:
    names = [column.name for column in sources()[table].columns]
    counts = amc.execute(f"SELECT {', '.join(f'count({name})' for name in names)} FROM {table}").fetchone()
    assert counts is not None
    assert [name for name, count in zip(names, counts, strict=True) if count == 0] == []


@pytest.mark.parametrize("table", WITH_USERS)
def test_a_user_has_a_number_where_they_are_known_and_a_part_always(
    amc: duckdb.DuckDBPyConnection, table: str
) -> None:
    wrong, rows = _one(
        amc,
        'SELECT count(*) FILTER ((user_id IS NULL) <> ("amci user" = 0) OR "amci part" NOT BETWEEN 0 AND 1048575),'
        f" count(*) FROM {table}",
    )
    assert wrong == 0
    assert rows > 0


@pytest.mark.parametrize("column", ["user_id", "user_id_type"])
def test_one_user_in_twenty_is_not_known(amc: duckdb.DuckDBPyConnection, column: str) -> None:
    unknown = _one(
        amc,
        f"SELECT avg(CAST({column} IS NULL AS INTEGER)) FROM"
        f' (SELECT DISTINCT "amci part", {column} FROM audience_segments_amer_lifestyle)',
    )
    assert 0.03 < unknown < 0.07


def test_a_person_has_the_same_id_number_and_part_everywhere(amc: duckdb.DuckDBPyConnection) -> None:
    everywhere = " UNION ".join(
        f'SELECT user_id, "amci user" AS number, "amci part" AS part FROM {table} WHERE user_id IS NOT NULL'
        for table in (*WITH_USERS, "conversions", "dsp_impressions")
    )
    rows, ids, numbers = _one(
        amc, f"SELECT count(*), count(DISTINCT user_id), count(DISTINCT number) FROM ({everywhere})"
    )
    assert rows == ids == numbers > 500


@pytest.mark.parametrize("column", VALUES)
def test_values_are_those_that_amc_names(amc: duckdb.DuckDBPyConnection, column: str) -> None:
    table, name = column.split(".")
    found = {value for (value,) in amc.execute(f"SELECT DISTINCT {name} FROM {table}").fetchall()}
    assert len(found) > 1
    assert found - {None} <= set(VALUES[column].split())


@pytest.mark.parametrize("table", [name for name in WITH_USERS if sources()[name].audience_table])
def test_audiences_are_made_of_those_one_can_reach(amc: duckdb.DuckDBPyConnection, table: str) -> None:
    kinds = amc.execute(f"SELECT DISTINCT user_id_type FROM {sources()[table].audience_table}").fetchall()
    assert kinds == [("adUserId",)]


def test_what_the_ad_tables_know_was_bought_is_among_all_that_was_bought(
    amc: duckdb.DuckDBPyConnection,
) -> None:
    missing, known, all_ = _one(
        amc,
        """SELECT count(*) FILTER (r.event_id IS NULL), count(*), (SELECT count(*) FROM amazon_retail_purchases)
             FROM conversions c
             LEFT JOIN amazon_retail_purchases r
               ON r."amci part" = c."amci part" AND r.user_id IS NOT DISTINCT FROM c.user_id AND r.asin = c.tracked_asin
              AND r.purchase_dt_utc = c.event_dt_utc AND r.purchase_units_sold = c.total_units_sold
              AND r.unit_price = c.purchase_unit_price AND r.purchase_program_name = c.purchase_retail_program
            WHERE c.event_subtype = 'order'""",
    )
    assert missing == 0
    assert 10 < known < all_ / 2


def test_an_order_may_have_several_lines_of_one_user(amc: duckdb.DuckDBPyConnection) -> None:
    lines, ids, longest, mixed = _one(
        amc,
        """SELECT sum(n), sum(ids), max(n), count(*) FILTER (parts > 1)
             FROM (SELECT count(*) AS n, count(DISTINCT event_id) AS ids, count(DISTINCT "amci part") AS parts
                     FROM amazon_retail_purchases GROUP BY purchase_id)""",
    )
    assert (lines == ids, longest, mixed) == (True, 2, 0)


def test_a_page_is_looked_at_until_the_next_one(amc: duckdb.DuckDBPyConnection) -> None:
    overlaps, pages, sessions, visits = _one(
        amc,
        """SELECT count(*) FILTER (event_dt_utc < ends), count(*), count(DISTINCT session_id), count(DISTINCT visit_id)
             FROM (SELECT *, lag(event_dt_utc + to_milliseconds(CAST(dwell_time * 1000 AS BIGINT)))
                               OVER (PARTITION BY session_id ORDER BY event_dt_utc) AS ends
                     FROM amazon_brand_store_page_views)""",
    )
    assert overlaps == 0
    assert pages > 2 * sessions > 0
    assert visits > sessions


def test_deeds_in_a_store_happen_on_a_page_that_is_being_looked_at(amc: duckdb.DuckDBPyConnection) -> None:
    deeds, placed = _one(
        amc,
        """SELECT count(*), count(*) FILTER (EXISTS (
                    FROM amazon_brand_store_page_views v
                   WHERE v.session_id = e.session_id AND v.page_id = e.page_id AND v.store_name = e.store_name
                     AND v.user_id IS NOT DISTINCT FROM e.user_id AND v.ingress_type = e.ingress_type
                     AND e.event_dt_utc - v.event_dt_utc
                         BETWEEN INTERVAL 0 SECOND AND to_milliseconds(CAST(v.dwell_time * 1000 AS BIGINT))))
             FROM amazon_brand_store_engagement_events e""",
    )
    assert deeds == placed > 200


@pytest.mark.parametrize("table", ["amazon_brand_store_page_views", "amazon_brand_store_engagement_events"])
def test_the_table_of_those_who_do_not_sell_is_a_part_of_the_other(
    amc: duckdb.DuckDBPyConnection, table: str
) -> None:
    part, left = _one(
        amc,
        f"SELECT (SELECT count(*) FROM {table}_non_endemic), (SELECT count(*) FROM"
        f" (FROM {table}_non_endemic EXCEPT ALL FROM {table}))",
    )
    assert part > 0
    assert left == 0


def test_a_channel_is_paid_month_by_month_after_its_trial(amc: duckdb.DuckDBPyConnection) -> None:
    wrong, latest, subscriptions, conversions = _one(
        amc,
        """SELECT count(*) FILTER (pv_end_date < pv_start_date
                    OR (pv_unit_price = 0) <> (pv_billing_type = 'Free Trial')
                    OR pv_is_plan_conversion AND NOT coalesce(was, 'Free Trial') = 'Free Trial'
                    OR pv_start_date <> coalesce(before + 1, pv_start_date)),
                  count(*) FILTER (pv_is_latest_record), count(DISTINCT pv_subscription_id),
                  count(*) FILTER (pv_is_plan_conversion)
             FROM (SELECT *, lag(pv_billing_type) OVER s AS was, lag(pv_end_date) OVER s AS before
                     FROM amazon_pvc_enrollments
                   WINDOW s AS (PARTITION BY pv_subscription_id ORDER BY pv_start_date))""",
    )
    assert wrong == 0
    assert latest == subscriptions
    assert conversions > 0


def test_streams_are_of_titles_and_of_subscribers(amc: duckdb.DuckDBPyConnection) -> None:
    wrong, live, titles = _one(
        amc,
        """SELECT count(*) FILTER (pv_gti_is_live <> (pv_material_type = 'Live')
                    OR pv_gti_is_live AND pv_gti_event_sport IS NULL
                    OR pv_seconds_viewed NOT BETWEEN 0 AND 4 * 3600 OR len(pv_gti_cast) = 0 OR len(pv_gti_genre) = 0
                    OR pv_gti_release_date > pv_playback_date_utc
                    OR (pv_gti_season IS NULL) <> (pv_gti_episode IS NULL)),
                  count(*) FILTER (pv_gti_is_live), count(DISTINCT pv_gti_series_or_movie_name)
             FROM amazon_pvc_streaming_events_feed""",
    )
    assert wrong == 0
    assert live > 0
    assert titles > 20
    enrolled = amc.execute(
        """SELECT count(*) FROM amazon_pvc_streaming_events_feed s JOIN amazon_pvc_enrollments e USING (user_id)
            WHERE s.pv_playback_date_utc BETWEEN e.pv_start_date AND e.pv_end_date"""
    ).fetchone()
    assert enrolled is not None
    assert enrolled[0] > 50


def test_a_car_is_registered_where_its_driver_lives_and_stands_in_their_garage(
    amc: duckdb.DuckDBPyConnection,
) -> None:
    amc.execute(
        "CREATE OR REPLACE TEMP TABLE homes AS SELECT DISTINCT user_id, iso_state_province_code AS state"
        " FROM dsp_impressions WHERE user_id IS NOT NULL"
    )
    wrong, seen = _one(
        amc,
        "SELECT count(*) FILTER (concat('US-', vehicle_registered_state) <> state), count(*)"
        " FROM experian_vehicle_purchases JOIN homes USING (user_id)",
    )
    assert wrong == 0
    assert seen > 0
    others, same = _one(
        amc,
        """SELECT count(*) FILTER (garage_model <> vehicle_model), count(*) FILTER (garage_model = vehicle_model)
             FROM experian_vehicle_purchases JOIN amazon_your_garage USING (user_id)
            WHERE garage_bodystyle IS NOT NULL""",
    )
    assert others == 0
    assert same > 0


def test_groceries_are_told_for_weeks_that_end_on_a_saturday(amc: duckdb.DuckDBPyConnection) -> None:
    days, wrong = _one(
        amc,
        "SELECT list(DISTINCT dayofweek(week_end_dt)), count(*) FILTER (purchase_dollar_amount <= 0"
        " OR purchase_quantity NOT BETWEEN 1 AND 3) FROM ncs_cpg_insights_stream",
    )
    assert (days, wrong) == ([6], 0)
    parents = amc.execute(
        "SELECT sub_brand FROM ncs_cpg_insights_stream GROUP BY 1"
        " HAVING count(DISTINCT (department, super_category, category, product_category, brand)) > 1"
    ).fetchall()
    assert parents == []


def test_a_click_on_the_ad_server_follows_its_impression_unless_somebody_searched(
    amc: duckdb.DuckDBPyConnection,
) -> None:
    wrong, clicks, searches = _one(
        amc,
        """SELECT count(*) FILTER (c.search_clicks = 0 AND coalesce(i.event_dt_utc > c.event_dt_utc, true)
                    OR c.search_clicks = 1 AND i.ad IS NOT NULL), count(*), sum(c.search_clicks)
             FROM adserver_traffic c
             LEFT JOIN adserver_traffic i ON i.adserver_session_id = c.adserver_session_id AND i.impressions = 1
                   AND i.placement_id = c.placement_id AND i."amci part" = c."amci part"
            WHERE c.clicks = 1""",
    )
    assert wrong == 0
    assert clicks > searches > 0
    odd = _one(
        amc,
        """SELECT count(*) FROM adserver_traffic
            WHERE impressions + clicks <> 1 OR viewable_impressions > measurable_impressions
               OR measurable_impressions > recordable_impressions OR recordable_impressions > impressions
               OR video_played_100pc > video_played_75pc OR video_played_75pc > video_played_50pc
               OR video_played_50pc > video_played_25pc OR video_played_25pc > video_started
               OR video_started > impressions""",
    )
    assert odd == 0


def test_the_ad_servers_other_tables_have_the_same_sessions_and_conversions(
    amc: duckdb.DuckDBPyConnection,
) -> None:
    assert _one(
        amc,
        "SELECT (SELECT count(DISTINCT conversion_id) FROM adserver_conversions) ="
        " (SELECT count(*) FROM adserver_conversions_with_brand)",
    )
    strays, rows = _one(
        amc,
        """SELECT count(*) FILTER (m.segment_id IS NULL OR adserver_session_id NOT IN (
                    SELECT adserver_session_id FROM adserver_traffic WHERE impressions = 1)), count(*)
             FROM adserver_traffic_by_user_segments s
             LEFT JOIN segment_metadata m ON m.segment_id = s.behavior_segment_id AND m.segment_marketplace_id = 1
                   AND m.segment_name = s.behavior_segment_name
                   AND m.segment_description = s.behavior_segment_description""",
    )
    assert strays == 0
    assert rows > 100
