"""Advertisers come into an instance and leave it (amc-api 2.1)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from .calling import Caller, Calling

MINUTE = timedelta(minutes=1)
BASE = "/amc/instances/amcsandbox1/advertisers"
THERE = {"id": "1234567890", "type": "DISPLAY", "marketplaceId": None}


def _new(number: int, kind: str = "SAS") -> dict[str, Any]:
    return {"id": f"N{number}", "type": kind, "marketplaceId": "ATVPDKIKX0DER"}


def _start(amc: Caller, add: Any = (), remove: Any = ()) -> Any:
    return amc.ask(
        "POST", f"{BASE}/updates", {"advertisersToAdd": list(add), "advertisersToRemove": list(remove)}
    )


def _ids(amc: Caller) -> set[tuple[str, str]]:
    return {(a["id"], a["type"]) for a in amc.ask("GET", BASE).json["advertisers"]}


def test_an_update_is_carried_out_by_and_by(calling: Calling) -> None:
    amc = calling(updating=10 * MINUTE)
    before = _ids(amc)
    made = _start(amc, [_new(1)], [THERE]).json["advertiserUpdate"]
    assert made == {
        "updateId": 0,
        "status": "PENDING",
        "advertisersToAdd": [_new(1)],
        "advertisersToRemove": [THERE],
    }
    seen = []
    for _ in range(3):
        update = amc.ask("GET", f"{BASE}/updates/0").json["advertiserUpdate"]
        seen.append((update["status"], _ids(amc) == before))
        amc.clock.turn(5 * MINUTE)
    assert seen == [("PENDING", True), ("UPDATING", True), ("COMPLETED", False)]
    assert _ids(amc) == before - {("1234567890", "DISPLAY")} | {("N1", "SAS")}


def test_without_delay_it_is_done_with_the_next_request(amc: Caller) -> None:
    assert _start(amc, [_new(1)]).json["advertiserUpdate"]["status"] == "PENDING"
    found = amc.ask("GET", f"{BASE}?type=SAS").json
    assert found["totalCount"] == 1
    assert found["advertisers"][0]["configuredAdvertiserTypes"] == ["SAS"]
    types = amc.ask("GET", "/amc/instances/amcsandbox1").json["instance"]["advertiserTypes"]
    assert types == ["DISPLAY", "SPONSORED_ADS", "SAS"]


def test_one_update_is_open_at_a_time_in_each_instance(calling: Calling) -> None:
    amc = calling(updating=10 * MINUTE)
    _start(amc, [_new(1)])
    amc.clock.turn(9 * MINUTE)
    answer = _start(amc, [_new(2)])
    assert (answer.status, answer.details) == (
        400,
        "Instance amcsandbox1 has an open advertiser update.",
    )
    amc.clock.turn(MINUTE)
    assert _start(amc, [_new(2)]).json["advertiserUpdate"]["updateId"] == 1
    listed = amc.ask("GET", f"{BASE}/updates").json
    assert listed == {
        "advertiserUpdates": [{"updateId": 0, "status": "COMPLETED"}, {"updateId": 1, "status": "PENDING"}],
        "nextToken": None,
    }


@pytest.mark.parametrize(
    ("add", "remove"),
    [
        ([THERE], []),
        ([], [_new(1)]),
        ([_new(1), _new(1)], []),
        ([_new(1)], [_new(1)]),
        ([], [THERE, THERE]),
        ([_new(1)], [_new(2)]),
    ],
    ids=["there already", "not there", "twice", "both", "gone twice", "half of it"],
)
def test_an_update_that_makes_no_sense_is_rejected_as_a_whole(amc: Caller, add: Any, remove: Any) -> None:
    before = _ids(amc)
    assert _start(amc, add, remove).status == 200
    assert amc.ask("GET", f"{BASE}/updates/0").json["advertiserUpdate"]["status"] == "REJECTED"
    assert _ids(amc) == before


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "One of advertisersToAdd and advertisersToRemove"),
        ({"advertisersToAdd": [], "advertisersToRemove": None}, "One of advertisersToAdd"),
        ({"advertisersToAdd": [_new(n) for n in range(11)]}, "advertisersToAdd must be a list of at most 10"),
        ({"advertisersToRemove": [_new(n) for n in range(11)]}, "advertisersToRemove must be a list of at most 10"),
        ({"advertisersToAdd": "N1"}, "advertisersToAdd must be a list"),
        ({"advertisersToAdd": ["N1"]}, "advertisersToAdd: each advertiser needs an id and a type"),
        ({"advertisersToAdd": [{"id": "N1"}]}, "advertisersToAdd: each advertiser needs an id and a type"),
        ({"advertisersToAdd": [_new(1, "DSP")]}, "advertisersToAdd: each advertiser needs an id and a type"),
    ],
)  # fmt: skip
def test_a_request_that_makes_no_sense_is_refused(amc: Caller, body: Any, says: str) -> None:
    answer = amc.ask("POST", f"{BASE}/updates", body)
    assert answer.status == 400
    assert answer.details.startswith(says)
    assert amc.ask("GET", f"{BASE}/updates").json["advertiserUpdates"] == []


def test_ten_may_come_and_ten_may_go_at_once(amc: Caller) -> None:
    _start(amc, [_new(n) for n in range(10)])
    _start(amc, [_new(n) for n in range(10, 20)], [_new(n) for n in range(10)])
    assert {name for name, kind in _ids(amc) if kind == "SAS"} == {f"N{n}" for n in range(10, 20)}


def test_an_unknown_update_is_not_found(amc: Caller) -> None:
    assert amc.ask("GET", f"{BASE}/updates/0").status == 404
    assert amc.ask("GET", f"{BASE}/updates/first").status == 404


def test_updates_come_in_pages_and_outlive_the_process(calling: Calling) -> None:
    amc = calling()
    for n in range(3):
        _start(amc, [_new(n)])
    again = calling()
    first = again.ask("GET", f"{BASE}/updates?limit=2").json
    second = again.ask("GET", f"{BASE}/updates?limit=2&nextToken={first['nextToken']}").json
    assert [u["updateId"] for page in (first, second) for u in page["advertiserUpdates"]] == [0, 1, 2]
