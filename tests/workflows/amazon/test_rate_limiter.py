"""Does the limit let bursts pass and then hold its rate, for all threads together?"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from amci.kernel.testing import FakeClock
from amci.workflows.amazon.rate_limiter import RateLimiter


def seconds(waits: list[timedelta]) -> list[float]:
    return [wait.total_seconds() for wait in waits]


def test_two_seconds_worth_go_out_at_once_and_then_the_rate_holds() -> None:
    clock = FakeClock()
    limit = RateLimiter(2, clock, clock.turn)
    assert seconds([limit.take() for _ in range(7)]) == [0, 0, 0, 0, 0.5, 0.5, 0.5]


def test_a_rest_fills_it_again_but_no_further() -> None:
    clock = FakeClock()
    limit = RateLimiter(2, clock, clock.turn)
    for _ in range(4):
        limit.take()
    clock.turn(timedelta(hours=1))
    assert seconds([limit.take() for _ in range(5)]) == [0, 0, 0, 0, 0.5]


def test_half_a_rest_fills_half() -> None:
    clock = FakeClock()
    limit = RateLimiter(2, clock, clock.turn)
    for _ in range(4):
        limit.take()
    clock.turn(timedelta(seconds=1))
    assert seconds([limit.take() for _ in range(3)]) == [0, 0, 0.5]


def test_those_who_come_together_wait_one_behind_the_other() -> None:
    limit = RateLimiter(2, FakeClock(), lambda _: None)  # nobody turns the clock: all come at one moment
    with ThreadPoolExecutor(8) as pool:
        waits = list(pool.map(lambda _: limit.take(), range(12)))
    assert sorted(seconds(waits)) == [0, 0, 0, 0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4]


@pytest.mark.parametrize("per_second", [0.1, 0.4])
def test_a_slow_limit_lets_the_first_one_pass(per_second: float) -> None:
    clock = FakeClock()
    limit = RateLimiter(per_second, clock, clock.turn)
    assert seconds([limit.take(), limit.take()]) == pytest.approx([0, 1 / per_second])


def test_nought_is_no_limit() -> None:
    clock = FakeClock()
    limit = RateLimiter(0, clock, clock.turn)
    assert {limit.take() for _ in range(1000)} == {timedelta()}


def test_a_clock_that_is_set_back_neither_fills_nor_empties() -> None:
    clock = FakeClock()
    limit = RateLimiter(2, clock, clock.turn)
    limit.take()
    clock.turn(timedelta(hours=-1))
    assert seconds([limit.take() for _ in range(4)]) == [0, 0, 0, 0.5]
