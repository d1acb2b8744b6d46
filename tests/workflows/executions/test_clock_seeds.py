"""Whatever the clock does, and whoever sleeps or is killed: one execution, and its result."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from amci.kernel.run import RunStatus

from ..conftest import Desk

SECOND, MINUTE, HOUR, DAY = (timedelta(seconds=n) for n in (1, 60, 3600, 86400))
STEPS = [5 * SECOND, 40 * SECOND, 2 * MINUTE, HOUR, 9 * HOUR, DAY, 10 * DAY]
TROUBLES: list[tuple[Any, ...]] = [
    (),
    ("no_answer_after", "POST"),
    ("error", "POST", 504),
    ("throttle", "POST"),
    ("no_connection", "*"),
    ("error", "GET", 503),
    ("slow_links", "GET"),
]


@pytest.mark.spread(3)
@pytest.mark.parametrize("seed", range(24))
def test_a_run_ends_well_whatever_the_clock_does(desk_of: Callable[..., Desk], seed: int) -> None:
    """A request is sent while the clock is right: for one that is sent while it is ahead see docs/reliability.md."""
    chance = random.Random(seed)  # noqa: S311 - a test
    desk = desk_of(options={"running": chance.choice([2, 40, 200]) * MINUTE})
    if trouble := chance.choice(TROUBLES):
        kind, method, *status = trouble
        path = "*/downloadUrls" if kind == "slow_links" else "*/workflowExecutions*"
        times = 1 if method == "POST" else chance.randint(1, 12)
        desk.fault(kind, method, path, times=times, status=(status or [500])[0], retry_after=90)
    run_id = desk.ask()
    desk.work()
    told = []
    for _ in range(chance.randint(2, 8)):
        told.append(_something_happens(desk, chance))
        if chance.random() < 0.8:
            desk.work()
    if chance.random() < 0.7:
        desk.set_clock(timedelta())
    for _ in range(4):
        desk.finish()
        desk.turn(minutes=2)
        desk.runs.correct_waits()
        desk.runs.recover()
    desk.finish()
    run = desk.run(run_id)
    made = list(desk.client().executions(desk.clock.now() - timedelta(days=9000)))
    assert (run.status, len(made)) == (RunStatus.SUCCEEDED, 1), (run.reason, trouble, told)


def _something_happens(desk: Desk, chance: random.Random) -> str:
    match chance.choice(["step", "step", "sleep", "kill", "pass", "pass"]):
        case "step":
            ahead = chance.choice(STEPS) * chance.choice([0, 1, 1, -1])
            desk.set_clock(ahead)
            return f"the clock is {ahead} ahead"
        case "sleep":
            asleep = chance.choice([MINUTE, HOUR, 2 * DAY])
            desk.clock.turn(asleep)
            return f"slept {asleep}"
        case "kill":
            desk.runs.claim(("execute",), "killed", MINUTE, 1)
            desk.turn(minutes=2)
            desk.runs.correct_waits()
            desk.runs.recover()
            return "killed"
        case _:
            desk.turn(seconds=chance.choice([1, 16, 30, 100, 400]))
            return "time passed"
