"""How many different queries may ask the same data about the same time (amc-api 1.5)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from amci.sandbox.execution_end import (
    PastQuery,
    fingerprint,
    is_over_budget,
    over_budget,
    past_queries,
    record_query,
)
from amci.sandbox.options import BudgetOptions
from amci.sandbox.store import Store

DAY = timedelta(days=1)
START = datetime(2026, 10, 1, tzinfo=UTC)
NOW = datetime(2026, 11, 1, 6, tzinfo=UTC)
THREE = BudgetOptions(most=3, within=DAY)


def _used(name: str = "new", *sources: str, **more: Any) -> PastQuery:
    about = {
        "instance_id": "amc1",
        "sources": frozenset(sources or ("dsp_impressions",)),
        "start": START,
        "end": START + 7 * DAY,
        "fingerprint": name,
        "at": NOW,
    }
    return PastQuery(**about | more)


EARLIER = [_used("a"), _used("b"), _used("c")]


def test_without_a_budget_nothing_is_too_many() -> None:
    assert not is_over_budget(EARLIER * 100, _used(), BudgetOptions())


def test_the_last_of_the_budget_is_good_and_the_next_is_one_too_many() -> None:
    assert not is_over_budget(EARLIER[:2], _used(), THREE)
    assert is_over_budget(EARLIER, _used(), THREE)


def test_a_query_that_was_run_before_tells_nothing_new() -> None:
    assert not is_over_budget(EARLIER, _used("b"), THREE)
    assert not is_over_budget([_used("a")] * 9, _used(), THREE)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"instance_id": "amc2"}, False),
        ({"sources": frozenset({"dsp_clicks"})}, False),
        ({"sources": frozenset({"dsp_clicks", "dsp_impressions"})}, True),
        ({"start": START - 7 * DAY, "end": START}, False),
        ({"start": START - 7 * DAY, "end": START + timedelta(seconds=1)}, True),
        ({"start": START + 7 * DAY, "end": START + 9 * DAY}, False),
        ({"start": START + 2 * DAY, "end": START + 3 * DAY}, True),
        ({"at": NOW - DAY}, False),
        ({"at": NOW - DAY + timedelta(seconds=1)}, True),
    ],
)
def test_only_queries_on_the_same_data_and_time_count(change: Any, expected: bool) -> None:
    one = replace(EARLIER[0], **change)
    assert is_over_budget([one, *EARLIER[1:]], _used(), THREE) is expected


def test_white_space_and_comments_make_no_other_query() -> None:
    sql = "SELECT a FROM t WHERE b = 'x'"
    same = "SELECT  a\n FROM t -- it's all\n WHERE /* here */ b = 'x' "
    assert fingerprint(sql, {}, START, NOW) == fingerprint(same, {}, START, NOW)


@pytest.mark.parametrize(
    ("sql", "values", "start"),
    [
        ("SELECT a FROM t WHERE b = 'y'", {"p": 1}, START),
        ("SELECT a FROM t WHERE b = 'x  y'", {"p": 1}, START),
        ("SELECT a FROM t WHERE b = 'x y'", {"p": 2}, START),
        ("SELECT a FROM t WHERE b = 'x y'", {"p": 1}, START + DAY),
        ("SELECT a FROM t WHERE b = 'x -- y'", {"p": 1}, START),
    ],
)
def test_another_literal_value_or_window_makes_another_query(sql: str, values: Any, start: datetime) -> None:
    known = fingerprint("SELECT a FROM t WHERE b = 'x y'", {"p": 1}, START, NOW)
    assert fingerprint(sql, values, start, NOW) != known


def test_the_refusal_is_amcs() -> None:
    assert over_budget("X", "Y") == (
        'Execution "X" of workflow "Y" could not be run because too many workflows have already been run'
        " against the same input data sources in the same or overlapping time windows."
    )


def test_what_was_run_is_remembered_per_instance(store: Store) -> None:
    mine = [_used("a", "dsp_clicks", "sales"), _used("b", at=NOW - 2 * DAY)]
    for used in (*mine, _used("c", instance_id="amc2")):
        record_query(store, used)
    assert past_queries(store, "amc1", NOW - DAY) == mine[:1]
    assert past_queries(store, "amc1", NOW - 3 * DAY) == mine[::-1]
