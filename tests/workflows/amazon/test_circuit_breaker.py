"""Does a circuit open when it should, try once, and close again?"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from amci.kernel.errors import StorageError
from amci.kernel.state import State
from amci.kernel.testing import FakeClock
from amci.workflows.amazon.circuit_breaker import (
    Circuit,
    CircuitBreaker,
    CircuitOpen,
    CircuitState,
    admitted,
    answered,
    failed,
    read_circuits,
    write_circuit,
)

CLOSED, OPEN, HALF_OPEN = CircuitState.CLOSED, CircuitState.OPEN, CircuitState.HALF_OPEN
PAUSE = timedelta(seconds=30)


class Instance:
    """A breaker with a clock, and what it told."""

    def __init__(self, on_change: Callable[[Circuit], None] | None = None, **circuit: object) -> None:
        self.clock = FakeClock()
        self.told: list[Circuit] = []
        self.breaker = CircuitBreaker(
            Circuit(instance_id="amc1", **circuit),  # type: ignore[arg-type]
            self.clock,
            limit=3,
            pause=PAUSE,
            on_change=on_change or self.told.append,
        )

    @property
    def state(self) -> CircuitState:
        return self.breaker.circuit.state

    def ask(self, *has_answer: bool | None) -> None:
        for has in has_answer:
            with self.breaker.turn() as turn:
                if has:
                    turn.answered()
                elif has is False:
                    turn.failed("AMC answered with status 503")


@pytest.mark.parametrize(
    ("outcomes", "state", "failures"),
    [
        ([], CLOSED, 0),
        ([False, False], CLOSED, 2),
        ([False, False, True], CLOSED, 0),
        ([False, False, True, False, False], CLOSED, 2),
        ([False, None, False, None], CLOSED, 2),
        ([False, False, False], OPEN, 3),
        ([False, False, None, False], OPEN, 3),
    ],
)
def test_only_failures_in_a_row_open_it(
    outcomes: list[bool | None], state: CircuitState, failures: int
) -> None:
    instance = Instance()
    instance.ask(*outcomes)
    assert (instance.state, instance.breaker.circuit.failures) == (state, failures)


def test_while_it_is_open_nothing_passes_until_the_pause_is_over() -> None:
    instance = Instance()
    instance.ask(False, False, False)
    with pytest.raises(CircuitOpen) as caught:
        instance.ask(True)
    assert caught.value.retry_at == instance.clock.now() + PAUSE
    assert str(caught.value) == (
        "AMC's instance amc1 did not answer 3 times in a row; next try at 2026-11-01 06:00:30 UTC"
        " (AMC answered with status 503)"
    )
    instance.clock.turn(PAUSE - timedelta(microseconds=1))
    with pytest.raises(CircuitOpen):
        instance.ask(True)
    instance.clock.turn(timedelta(microseconds=1))
    instance.ask(True)
    assert instance.state is CLOSED


def test_a_trial_that_fails_opens_it_anew_and_keeps_since_when() -> None:
    instance = Instance()
    instance.ask(False, False, False)
    began = instance.clock.now()
    instance.clock.turn(PAUSE)
    instance.ask(False)
    circuit = instance.breaker.circuit
    assert (circuit.state, circuit.failures, circuit.opened_at) == (OPEN, 4, began)
    assert circuit.retry_at == began + 2 * PAUSE


def test_only_one_request_tries_whatever_the_number_of_threads() -> None:
    instance = Instance()
    instance.ask(False, False, False)
    instance.clock.turn(PAUSE)
    trying, over = threading.Event(), threading.Event()

    def trial() -> None:
        with instance.breaker.turn() as turn:
            trying.set()
            over.wait()
            turn.answered()

    def other(_: int) -> bool:
        try:
            instance.ask(True)
        except CircuitOpen as error:
            return error.retry_at > instance.clock.now()
        return False

    with ThreadPoolExecutor(9) as pool:
        tried = pool.submit(trial)
        trying.wait()
        assert all(pool.map(other, range(8)))
        over.set()
        tried.result()
    assert instance.state is CLOSED


def test_a_trial_that_says_nothing_leaves_the_place_to_the_next() -> None:
    instance = Instance()
    instance.ask(False, False, False)
    instance.clock.turn(PAUSE)
    with pytest.raises(KeyboardInterrupt), instance.breaker.turn():
        raise KeyboardInterrupt
    assert instance.state is HALF_OPEN
    instance.ask(True)
    assert instance.state is CLOSED


@pytest.mark.parametrize("has_answer", [True, False])
def test_what_was_sent_before_it_opened_says_nothing_new(has_answer: bool) -> None:
    instance = Instance()
    with instance.breaker.turn() as early:
        instance.ask(False, False, False)
        before = instance.breaker.circuit
        if has_answer:
            early.answered()
        else:
            early.failed("late")
    assert instance.breaker.circuit == before


def test_every_change_of_state_is_told_and_nothing_else() -> None:
    instance = Instance()
    instance.ask(True, False, False, False)
    instance.clock.turn(PAUSE)
    instance.ask(False)
    instance.clock.turn(PAUSE)
    instance.ask(True, True)
    assert [c.state for c in instance.told] == [OPEN, HALF_OPEN, OPEN, HALF_OPEN, CLOSED]


def test_a_disk_that_takes_no_note_stops_no_request() -> None:
    def full(_: Circuit) -> None:
        raise StorageError("disk full")

    instance = Instance(full)
    instance.ask(False, False, False)
    assert instance.state is OPEN


def test_the_rules_are_pure() -> None:
    clock = FakeClock()
    closed = Circuit(instance_id="amc1")
    opened = failed(closed, clock.now(), "no answer", limit=1, pause=PAUSE)
    assert (opened.state, opened.retry_at, opened.changed_at) == (OPEN, clock.now() + PAUSE, clock.now())
    assert admitted(opened, clock.now()) == opened
    later = clock.now() + PAUSE
    assert admitted(opened, later).state is HALF_OPEN
    assert answered(admitted(opened, later), later) == Circuit(instance_id="amc1", changed_at=later)
    assert closed == Circuit(instance_id="amc1")


class TestRemembered:
    def test_what_is_written_is_read_again(self, tmp_path: Path) -> None:
        instance = Instance()
        with State.open(tmp_path / "state.db", instance.clock) as state:
            instance.ask(False, False, False)
            write_circuit(state, instance.breaker.circuit)
            assert read_circuits(state) == [instance.breaker.circuit]
            instance.clock.turn(PAUSE)
            instance.ask(True)
            write_circuit(state, instance.breaker.circuit)
            assert read_circuits(state) == [instance.breaker.circuit]

    def test_an_older_change_that_comes_late_replaces_nothing(self, tmp_path: Path) -> None:
        instance = Instance()
        with State.open(tmp_path / "state.db", instance.clock) as state:
            instance.ask(False, False, False)
            instance.clock.turn(PAUSE)
            instance.ask(True)
            for circuit in (instance.told[-1], instance.told[0]):
                write_circuit(state, circuit)
            assert [c.state for c in read_circuits(state)] == [CLOSED]

    def test_one_that_was_half_open_when_its_process_ended_tries_again(self) -> None:
        instance = Instance(state=HALF_OPEN, failures=3)
        instance.ask(True)
        assert instance.state is CLOSED
