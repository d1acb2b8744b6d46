"""Each instance has events of its own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import pytest

from amci.sandbox.data import TABLES
from amci.sandbox.engine import Engine
from amci.sandbox.options import SandboxInstance
from amci.sandbox.sql import translate
from amci.sandbox.windows import Window

LAST = date(2026, 10, 31)
WINDOW = Window(start=datetime(2026, 10, 1, tzinfo=UTC), end=datetime(2026, 11, 1, tzinfo=UTC))
SQL = "SELECT campaign, SUM(impressions) AS impressions FROM dsp_impressions GROUP BY 1 ORDER BY 1"


def _ask(engine: Engine, sql: str, instance_id: str) -> list[tuple[Any, ...]]:
    translated = translate(sql, window=WINDOW, instance_id=instance_id)
    return [tuple(row) for row in engine.run(translated.sql, LAST).values]


@pytest.mark.parametrize("table", TABLES)
def test_two_instances_have_other_events_and_other_users(engine: Engine, table: str) -> None:
    sql = f"SELECT user_id, COUNT(*) AS n FROM {table} WHERE user_id IS NOT NULL GROUP BY 1"
    one, other, all_ = (dict(_ask(engine, sql, name)) for name in ("amc1", "amc2", ""))
    assert not one.keys() & other.keys()
    assert not one.keys() & all_.keys()
    assert sum(one.values()) != sum(other.values())
    for found in (one, other):
        assert 0.4 < len(found) / len(all_) < 0.9
        assert 0.4 < sum(found.values()) / sum(all_.values()) < 0.9


def test_an_instance_always_has_the_same_events(engine: Engine) -> None:
    assert _ask(engine, SQL, "amc1") == _ask(engine, SQL, "amc1")


@pytest.mark.parametrize(
    ("left", "right", "key"),
    [
        ("dsp_clicks", "dsp_impressions", "l.request_tag = r.request_tag"),
        ("dsp_clicks", "dsp_impressions", "l.request_tag = r.request_tag AND l.device_id = r.device_id"),
        ("amazon_attributed_events_by_traffic_time", "dsp_impressions", "l.request_tag = r.request_tag"),
        ("amazon_attributed_events_by_traffic_time", "sponsored_ads_traffic", "l.traffic_event_id = r.event_id"),
    ],
)  # fmt: skip
def test_what_belongs_together_stays_together(engine: Engine, left: str, right: str, key: str) -> None:
    sql = f"SELECT COUNT(*) AS n FROM {left} l JOIN {right} r ON {key} AND (l.user_id = r.user_id OR l.user_id IS NULL)"
    ours = "l.request_tag IS NOT NULL" if "request_tag" in key else "l.traffic_event_id IS NOT NULL"
    ((joined,),) = _ask(engine, sql, "amc1")
    ((all_,),) = _ask(engine, f"SELECT COUNT(*) AS n FROM {left} l WHERE {ours}", "amc1")
    assert joined == all_ > 0


def test_events_without_a_user_are_there_too(engine: Engine) -> None:
    ((n,),) = _ask(engine, "SELECT COUNT(*) AS n FROM dsp_impressions WHERE user_id IS NULL", "amc1")
    assert n > 0


def test_names_and_ctes_work_as_they_do_without_an_instance(engine: Engine) -> None:
    sql = """
        WITH dsp_clicks AS (SELECT user_id, SUM(clicks) AS c FROM dsp_clicks GROUP BY 1)
        SELECT SUM(t.c) AS c, COUNT(DISTINCT i.user_id) AS u
          FROM dsp_clicks t JOIN TABLE(EXTEND_TIME_WINDOW('dsp_impressions', 'P1D', 'P1D')) i
            ON t.user_id = i.user_id
    """
    assert _ask(engine, sql, "amc1") != _ask(engine, sql, "amc2")


def test_the_numbers_behind_the_parts_cannot_be_asked_for(calling: Callable[..., Any]) -> None:
    execution = calling().execute(sqlQuery='SELECT MAX("amci dice") AS d FROM dsp_impressions')
    assert calling().status(execution) in ("REJECTED", "FAILED")


def test_instances_of_a_sandbox_give_other_results_each_the_same_again(calling: Callable[..., Any]) -> None:
    instances = tuple(
        SandboxInstance(instance_id=name, entity_id="E", marketplace_id="M", name=name)
        for name in ("amc1", "amc2")
    )
    asked = {"sqlQuery": SQL.removesuffix(" ORDER BY 1"), "timeWindowType": "MOST_RECENT_WEEK"}

    def result(instance: SandboxInstance) -> str:
        amc = calling(instances=instances, users=300)
        amc.instance = instance
        return str(amc.download(amc.execute(**asked)))

    one, other = map(result, instances)
    assert one != other
    assert (result(instances[0]), result(instances[1])) == (one, other)
