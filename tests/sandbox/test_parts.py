"""The instances of a sandbox share its people; each sees two thirds of them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from amci.amcsql.duckdb_writer import PART
from amci.amcsql.query import Compiled, Query
from amci.amcsql.sources import Source, sources
from amci.sandbox.engine import QueryEngine
from amci.sandbox.options import SandboxInstance

from .calling import Calling

LAST = date(2026, 10, 31)
WINDOW = (datetime(2026, 10, 3, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC))
SQL = "SELECT campaign, SUM(impressions) AS impressions FROM dsp_impressions GROUP BY 1"
TABLES = [
    "dsp_impressions",
    "sponsored_ads_traffic",
    "amazon_attributed_events_by_traffic_time",
    "conversions",
    "conversions_all",
]


def _compiled(sql: str, instance_id: str, **more: Source) -> Compiled:
    query = Query.of(sql, {**sources(), **more}, controls="none")
    return query.compile(WINDOW, WINDOW[1], instance_id=instance_id)


def _ask(engine: QueryEngine, sql: str, instance_id: str) -> list[tuple[Any, ...]]:
    return sorted(engine.run(_compiled(sql, instance_id), LAST).rows, key=repr)


@pytest.mark.parametrize("table", TABLES)
def test_an_instance_sees_two_thirds_of_the_people(engine: QueryEngine, table: str) -> None:
    sql = f"SELECT user_id, COUNT(*) AS n FROM {table} WHERE user_id IS NOT NULL GROUP BY 1"
    one, other, all_ = (dict(_ask(engine, sql, name)) for name in ("amc1", "amc2", ""))
    for found in (one, other):
        # whom it sees, it sees wholly
        assert found.items() <= all_.items()
        assert 0.55 < len(found) / len(all_) < 0.8
    assert one.keys() != other.keys()
    # two of them share those whom both see, as instances of one advertiser do
    assert 0.3 < len(one.keys() & other.keys()) / len(all_) < 0.65


def test_nearly_everybody_is_seen_by_one_of_several_instances(engine: QueryEngine) -> None:
    sql = "SELECT DISTINCT user_id FROM dsp_impressions WHERE user_id IS NOT NULL"
    seen = [{user for (user,) in _ask(engine, sql, name)} for name in ("amc1", "amc2", "amc3", "amc4", "")]
    assert len(set[Any]().union(*seen[:4])) / len(seen[4]) > 0.9


def test_an_instance_always_has_the_same_events(engine: QueryEngine) -> None:
    assert _ask(engine, SQL, "amc1") == _ask(engine, SQL, "amc1") != _ask(engine, SQL, "amc2")


@pytest.mark.parametrize(
    ("left", "right", "key"),
    [
        ("dsp_clicks", "dsp_impressions", "l.request_tag = r.request_tag"),
        ("dsp_clicks", "dsp_impressions", "l.request_tag = r.request_tag AND l.device_id = r.device_id"),
        ("amazon_attributed_events_by_traffic_time", "dsp_impressions", "l.request_tag = r.request_tag"),
        ("amazon_attributed_events_by_traffic_time", "sponsored_ads_traffic", "l.traffic_event_id = r.event_id"),
    ],
)  # fmt: skip
def test_what_belongs_together_stays_together(engine: QueryEngine, left: str, right: str, key: str) -> None:
    ours = "l.request_tag IS NOT NULL" if "request_tag" in key else "l.traffic_event_id IS NOT NULL"
    sql = f"SELECT COUNT(*) AS n FROM {left} l JOIN {right} r ON {key} WHERE {ours}"
    ((joined,),) = _ask(engine, sql, "amc1")
    ((all_,),) = _ask(engine, f"SELECT COUNT(*) AS n FROM {left} l WHERE {ours}", "amc1")
    assert joined == all_ > 0


def test_events_without_a_user_are_there_too(engine: QueryEngine) -> None:
    sql = "SELECT COUNT(*) AS n FROM dsp_impressions WHERE user_id IS NULL"
    ((one,),), ((all_,),) = (_ask(engine, sql, name) for name in ("amc1", ""))
    assert 0 < one < all_


def test_names_and_ctes_work_as_they_do_without_an_instance(engine: QueryEngine) -> None:
    sql = """
        WITH dsp_clicks AS (SELECT user_id, SUM(impressions) AS c FROM dsp_impressions GROUP BY 1)
        SELECT SUM(t.c) AS c, COUNT(DISTINCT i.user_id) AS u
          FROM dsp_clicks t JOIN TABLE(EXTEND_TIME_WINDOW('dsp_impressions', 'P1D', 'P1D')) i
            ON t.user_id = i.user_id
    """
    one, other, all_ = (_ask(engine, sql, name)[0][1] for name in ("amc1", "amc2", ""))
    assert len({one, other, all_}) == 3
    assert 0 < max(one, other) < all_


def test_tables_without_people_are_the_same_for_all_instances(engine: QueryEngine) -> None:
    sql = "SELECT segment_id, segment_name FROM segment_metadata"
    assert _ask(engine, sql, "amc1") == _ask(engine, sql, "amc2") != []


def test_what_an_advertiser_uploaded_is_its_instances_alone_and_seen_whole() -> None:
    crm = Source(
        name="crm",
        category="ADU",
        kind="DIMENSION",
        event_time=None,
        columns=sources()["dsp_impressions"].columns,
        is_uploaded=True,
        reads="SELECT 1",
    )
    assert PART in _compiled("SELECT SUM(clicks) AS n FROM dsp_clicks", "amc1").plain
    assert PART not in _compiled("SELECT COUNT(user_id) AS n FROM crm", "amc1", crm=crm).plain


def test_what_amc_does_not_know_cannot_be_asked_for(calling: Calling) -> None:
    for column in ("amci part", "amci user"):
        sql = f'SELECT MAX("{column}") AS d FROM dsp_impressions'
        execution = calling().execute(sqlQuery=sql)
        assert f"Column '{column}' not found" in calling().execution(execution)["statusReason"]


def test_instances_of_a_sandbox_give_other_results_each_the_same_again(calling: Calling) -> None:
    instances = tuple(
        SandboxInstance(instance_id=name, entity_id="E", marketplace_id="M", name=name)
        for name in ("amc1", "amc2")
    )
    asked = {"sqlQuery": SQL, "timeWindowType": "MOST_RECENT_WEEK"}

    def result(instance: SandboxInstance) -> str:
        amc = calling(instances=instances, scale=0.003)
        amc.instance = instance
        return str(amc.download(amc.execute(**asked)))

    one, other = map(result, instances)
    assert one != other
    assert (result(instances[0]), result(instances[1])) == (one, other)
