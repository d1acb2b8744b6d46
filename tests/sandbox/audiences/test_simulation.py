"""Audiences of the sandbox's own people."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

import amci
from amci.sandbox.data.world import World
from amci.sandbox.options import DEFAULT_INSTANCE

from ..calling import Calling

SMALL: dict[str, Any] = {"scale": 0.003, "days": 20, "audience_minimum": 1}
LAST = date(2026, 11, 1)
IDS = {
    "amazon-marketing-cloud-audience-instanceid": DEFAULT_INSTANCE.instance_id,
    "amazon-advertising-api-entityid": DEFAULT_INSTANCE.entity_id,
    "accept": "application/vnd.amcquerybasedaudience.v1.2+json",
}
WINDOW = {"timeWindowStart": "2026-10-15T00:00:00Z", "timeWindowEnd": "2026-10-25T00:00:00Z"}
SEEN = "SELECT user_id FROM dsp_impressions_for_audiences"
CARTS = (Path(amci.__file__).parent.parent / "config" / "audiences" / "cart_abandoners.sql").read_text()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the events lie, which take a while to make."""
    folder = tmp_path_factory.mktemp("world")
    World(directory=folder, seed=1, scale=SMALL["scale"], days=SMALL["days"]).prepare(LAST)
    return folder / "events"


@pytest.fixture
def audience(tmp_path: Path, made: Path, calling: Calling) -> Iterator[Callable[..., dict[str, Any]]]:
    """Asks for an audience and shows it."""
    shutil.copytree(made, tmp_path / "sandbox" / "events")
    caller = calling(**SMALL)

    def shown(query: str, path: str = "query", **fields: Any) -> dict[str, Any]:
        body = {"audienceName": "n", "advertiserId": "1234567890", "query": query} | WINDOW | fields
        answer = caller.ask("POST", f"/amc/audiences/{path}", body, **IDS)
        assert answer.status == 200, answer.content
        return look(answer.json["audienceExecutionId"])

    def look(audience_id: str) -> dict[str, Any]:
        caller.headers = {}
        return dict(caller.ask("GET", f"/amc/audiences/query/{audience_id}", **IDS).json)

    shown.look, shown.caller = look, caller  # type: ignore[attr-defined]
    return shown


def test_it_has_those_who_were_measured_but_for_the_few_who_cannot_be_reached(audience: Any) -> None:
    caller = audience.caller
    caller.workflow("seen", "SELECT COUNT(DISTINCT user_id) AS people FROM dsp_impressions")
    execution = caller.execute(workflowId="seen", timeWindowType="EXPLICIT", **WINDOW)
    measured = int(caller.download(execution).splitlines()[1])
    found = audience(SEEN)
    assert found["status"] == "SUCCEEDED"
    assert 0.8 * measured < found["audienceCount"] < measured


def test_the_query_to_copy_makes_an_audience(audience: Any) -> None:
    found = audience(CARTS)
    assert (found["status"], found.get("audienceCount", 0) > 0) == ("SUCCEEDED", True)


def test_a_parameter_narrows_it(audience: Any) -> None:
    query = f"{SEEN} WHERE device_type = CUSTOM_PARAMETER('device')"
    declared = [{"name": "device", "dataType": "STRING"}]
    phones = audience(query, inputParameters=declared, parameterValues={"device": "Phone"})
    assert 0 < phones["audienceCount"] < audience(SEEN)["audienceCount"]
    assert "undeclared parameter device" in audience(query)["statusReason"]


def test_a_moving_window_finds_others(audience: Any) -> None:
    found = audience(SEEN, refreshRateDays=3, timeWindowRelative=True)
    audience.caller.clock.turn(timedelta(days=3))
    again = audience.look(found["audienceExecutionId"])
    assert again["timeWindowStart"] == "2026-10-18T00:00:00Z"
    assert again["lastRefreshedTime"] > found["lastRefreshedTime"]
    assert again["audienceCount"] != found["audienceCount"]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("SELECT user_id FROM nowhere", "not found"),
        ("SELECT user_id FROM dsp_impressions_for_audiences WHERE moon = 1", "moon"),
        (f"{SEEN} WHERE user_id = 'u'", "user_id"),
        ("SELECT user_id FROM dsp_impressions_for_audiences WHERE (", "Encountered"),
        (
            "SELECT user_id FROM dsp_impressions_for_audiences WHERE user_behavior_segment_ids IS NULL",
            "segment_ids",
        ),
        (
            "SELECT user_id FROM dsp_clicks_for_audiences WHERE campaign = 'none'",
            "has 0 user_ids, and at least 1 are",
        ),
    ],
)
def test_what_makes_no_audience_says_why(audience: Any, query: str, says: str) -> None:
    found = audience(query)
    assert found["status"] == "FAILED"
    assert says in found["statusReason"]


def test_lookalikes_grow_with_their_reach_and_leave_the_seed_out(audience: Any) -> None:
    reaches = ("MOST_SIMILAR", "SIMILAR", "BALANCED", "BROAD", "MOST_BROAD")
    televisions = f"{SEEN} WHERE device_type = 'TV'"
    found = [audience(televisions, "lookalike", lookalikeAudienceExpectedReach=reach) for reach in reaches]
    counts = [each.get("audienceCount", 0) for each in found]
    assert {each["status"] for each in found} == {"SUCCEEDED"}
    assert counts == sorted(counts)
    assert 0 < counts[0] < counts[-1] < 100
