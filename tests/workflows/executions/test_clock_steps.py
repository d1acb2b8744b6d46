"""Executions, circuits and their waits, when the clock was ahead for a while or jumps forward."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest

from amci.kernel.run import RunStatus
from amci.workflows.amazon.circuit_breaker import (
    Circuit,
    CircuitBreaker,
    CircuitOpen,
    CircuitState,
    read_circuits,
    write_circuit,
)
from amci.workflows.amc.model import ExecutionStatus
from amci.workflows.executions.cancel import cancel
from amci.workflows.executions.reconcile import reconcile_run

from ..conftest import Desk

AHEAD = [timedelta(days=1), timedelta(days=3653)]
#: While the clock is ahead; then it is put right.
TROUBLES: dict[str, Callable[[Desk], None]] = {
    "sent without an answer": lambda desk: desk.fault("no_answer_after", "POST"),
    "never sent": lambda desk: desk.fault("error", "POST", status=504),
    "out of reach": lambda desk: desk.fault("no_connection", times=8),
    "throttled": lambda desk: desk.fault("throttle", "POST", retry_after=90),
    "running": lambda _: None,
}


@pytest.mark.spread(2)
@pytest.mark.parametrize("ahead", AHEAD, ids=["a day", "ten years"])
@pytest.mark.parametrize("name", TROUBLES)
def test_executions_go_on_within_their_own_time(desk: Desk, name: str, ahead: timedelta) -> None:
    desk.set_clock(ahead)
    TROUBLES[name](desk)
    run_id = desk.ask()
    desk.work()
    desk.set_clock(timedelta())
    right = desk.clock.now()
    desk.finish()
    assert desk.run(run_id).status is RunStatus.SUCCEEDED
    assert desk.run(run_id).changed_at - right < timedelta(hours=1)
    assert len(desk.in_amc()) == 1


@pytest.mark.parametrize("ahead", AHEAD, ids=["a day", "ten years"])
def test_an_execution_that_never_ends_is_given_up_by_its_deadline(
    desk_of: Callable[..., Desk], ahead: timedelta
) -> None:
    desk = desk_of(options={"running": timedelta(days=9000)}, deadline="2h")
    desk.set_clock(ahead)
    run_id = desk.ask()
    desk.work()
    desk.set_clock(timedelta())
    right = desk.clock.now()
    desk.finish()
    assert desk.run(run_id).status is RunStatus.FAILED
    assert desk.run(run_id).changed_at - right < timedelta(hours=4)


@pytest.mark.parametrize("ahead", AHEAD, ids=["a day", "ten years"])
def test_cancelling_what_amc_never_had_ends(desk: Desk, ahead: timedelta) -> None:
    desk.set_clock(ahead)
    desk.fault("error", "POST", status=504)
    run_id = desk.ask()
    desk.work()
    cancel(desk.runs, desk.executions, run_id)
    desk.work()
    desk.set_clock(timedelta())
    right = desk.clock.now()
    desk.finish()
    assert all(run.status.is_final for run in desk.runs.list(limit=-1))
    assert desk.clock.now() - right < timedelta(hours=1)


@pytest.mark.parametrize("ahead", AHEAD, ids=["a day", "ten years"])
def test_an_open_circuit_rests_no_longer_than_its_pause(desk: Desk, ahead: timedelta) -> None:
    breaker = CircuitBreaker(
        Circuit(instance_id="amc1"),
        desk.clock,
        limit=1,
        pause=timedelta(seconds=30),
        on_change=lambda circuit: write_circuit(desk.state, circuit),
    )
    desk.set_clock(ahead)
    with breaker.turn() as turn:
        turn.failed("no answer")
    with pytest.raises(CircuitOpen), breaker.turn():
        pass
    desk.set_clock(timedelta())
    # In this process, and in the next one, which may start before anything was corrected.
    [written] = read_circuits(desk.state)
    for circuit in (
        breaker,
        CircuitBreaker(written, desk.clock, limit=1, pause=breaker.pause, on_change=print),
    ):
        with circuit.turn() as turn:
            turn.answered()
        assert circuit.circuit.state is CircuitState.CLOSED
    desk.runs.correct_waits()
    [corrected] = read_circuits(desk.state)
    assert corrected.retry_at is None or corrected.retry_at - desk.clock.now() <= breaker.pause
    with breaker.turn() as turn:
        turn.failed("no answer")
    assert read_circuits(desk.state)[0].state is CircuitState.OPEN


@pytest.mark.spread(2)
@pytest.mark.parametrize("step", [timedelta(minutes=2), *AHEAD], ids=str)
@pytest.mark.parametrize("is_looked_at", [False, True])
@pytest.mark.parametrize("is_put_right", [False, True])
def test_a_step_forward_makes_no_second_execution(
    desk: Desk, step: timedelta, is_looked_at: bool, is_put_right: bool
) -> None:
    """AMC shows the execution only a while after it took the request; the clock jumps over that while."""
    desk.fault("no_answer_after", "POST")
    run_id = desk.ask()
    hidden = True

    def unseen(method: str, url: str) -> object:
        if hidden and method == "GET" and "/workflowExecutions?" in url:
            return 200, {}, b'{"executions": []}'
        return None

    desk.overlay = unseen  # type: ignore[assignment]
    desk.work()
    if is_looked_at:
        desk.turn(seconds=15)
        desk.work()
    desk.set_clock(step)
    desk.work()
    hidden = False
    desk.set_clock(timedelta()) if is_put_right else None
    desk.finish()
    assert desk.posts() == 1
    assert desk.run(run_id).status is RunStatus.SUCCEEDED
    assert len(list(desk.client().executions(desk.clock.now() - timedelta(days=9000)))) == 1


@pytest.mark.parametrize("ahead", AHEAD, ids=["a day", "ten years"])
def test_a_second_execution_of_a_time_when_the_clock_was_ahead_is_found(desk: Desk, ahead: timedelta) -> None:
    desk.set_clock(ahead)
    desk.fault("late", "POST", seconds=600)
    run_id = desk.ask()
    desk.work()
    desk.set_clock(timedelta())
    desk.finish()
    assert desk.run(run_id).status is RunStatus.SUCCEEDED
    desk.turn(minutes=10)
    desk.runs.create([reconcile_run(desk.tenants["acme"], desk.clock.now())])
    desk.finish()
    assert len(desk.in_amc()) == 2
    assert desk.executions.twice() == 1


def _hidden(desk: Desk, path: str, status: int = 404) -> Callable[[], None]:
    """AMC does not show what is at `path` until the function returned is called."""
    shown = False

    def answer(method: str, url: str) -> object:
        if method != "GET" or path not in url or shown:
            return None
        if path.endswith("?"):
            return 200, {}, b'{"executions": []}'
        return status, {}, b'{"code": "404", "details": "not found"}'

    def show() -> None:
        nonlocal shown
        shown = True

    desk.overlay = answer  # type: ignore[assignment]
    return show


def _begun(begin: Callable[[Desk], None], desk: Desk) -> Callable[[], None]:
    begin(desk)
    return lambda: None


def _unanswered(desk: Desk) -> Callable[[], None]:
    desk.fault("no_answer_after", "POST")
    return _hidden(desk, "/workflowExecutions?")


#: What is going on when the clock jumps: prepared before the request, and ended afterwards.
STATES: dict[str, Callable[[Desk], Callable[[], None]]] = {
    **{name: partial(_begun, begin) for name, begin in TROUBLES.items()},
    "sent without an answer, and not shown": _unanswered,
    "not shown though it has an id": lambda desk: _hidden(desk, "/workflowExecutions/"),
    "its result is not there": lambda desk: _hidden(desk, "/downloadUrls"),
    "the links of its result have expired": lambda desk: _hidden(desk, "/downloadUrls", 403),
    "answers that nobody can read": lambda desk: _hidden(desk, "/workflowExecutions/", 200),
    "AMC fails": lambda desk: _hidden(desk, "/workflowExecutions/", 503),
}


@pytest.mark.spread(4)
@pytest.mark.parametrize("step", [timedelta(minutes=2), timedelta(days=1)], ids=str)
@pytest.mark.parametrize("name", STATES)
def test_a_clock_set_forward_for_an_hour_gives_nothing_up(desk: Desk, name: str, step: timedelta) -> None:
    settle = STATES[name](desk)
    run_id = desk.ask()
    desk.work()
    desk.turn(seconds=16)
    desk.work()
    desk.set_clock(step)
    desk.work()
    desk.turn(seconds=30)
    desk.work()
    settle()
    desk.turn(minutes=1)
    desk.work()
    desk.set_clock(timedelta())
    desk.finish()
    assert desk.run(run_id).status is RunStatus.SUCCEEDED, desk.run(run_id).reason
    assert len(desk.in_amc()) == 1


@pytest.mark.spread(4)
@pytest.mark.parametrize("is_killed", [False, True])
@pytest.mark.parametrize("name", STATES)
def test_what_amc_finished_while_the_machine_slept_is_fetched(desk: Desk, name: str, is_killed: bool) -> None:
    settle = STATES[name](desk)
    run_id = desk.ask()
    desk.work()
    desk.turn(minutes=6)
    if is_killed:
        desk.runs.claim(("execute",), "killed", timedelta(minutes=1), 1)
    desk.turn(days=2)
    # The network is not there at once.
    desk.fault("no_connection", times=12)
    desk.runs.recover()
    desk.work()
    settle()
    desk.finish()
    assert desk.run(run_id).status is RunStatus.SUCCEEDED, desk.run(run_id).reason


@pytest.mark.parametrize("hours", [1, 20])
def test_what_never_ends_is_given_up_though_each_look_comes_late(
    desk_of: Callable[..., Desk], hours: int
) -> None:
    """As with `amci drain --patience 0` in a crontab."""
    desk = desk_of(options={"running": timedelta(days=9000)}, deadline="2h")
    run_id = desk.ask()
    for _ in range(60):
        desk.work()
        desk.turn(hours=hours)
    desk.finish()
    assert desk.run(run_id).status is RunStatus.FAILED
    assert "did not end it within 2 h" in desk.run(run_id).reason


@pytest.mark.parametrize("kind", ["never sent", "sent, and not shown"])
def test_the_reason_says_nothing_that_amc_did_not(desk_of: Callable[..., Desk], kind: str) -> None:
    desk = desk_of(deadline="20s", adopt_within="10s", attempts=1)
    desk.fault("throttle" if kind == "never sent" else "no_answer_after", "POST", times=99, retry_after=30)
    _hidden(desk, "/workflowExecutions?")
    run_id = desk.ask()
    desk.finish()
    run, row = desk.run(run_id), desk.row(run_id)
    assert run.status is RunStatus.FAILED
    assert "AMC says" not in run.reason
    assert row.status is None
    said = "AMC answered 429 Too Many Requests for 20 s" if kind == "never sent" else "showed no execution"
    assert said in run.reason
    assert run.result["execution_status"] is None
    assert [again.run_id for again in desk.executions.resubmittable(desk.clock.now() - timedelta(days=1))]


@pytest.mark.parametrize("is_put_right", [False, True])
def test_cancelling_goes_on_over_a_step_of_the_clock(
    desk_of: Callable[..., Desk], is_put_right: bool
) -> None:
    """AMC does not show the execution yet, and then cannot be asked, while the clock jumps over the deadline."""
    desk = desk_of(options={"running": timedelta(days=9000)})
    settle = _unanswered(desk)
    run_id = desk.ask()
    desk.work()
    cancel(desk.runs, desk.executions, run_id)
    desk.work()
    desk.set_clock(timedelta(days=1))
    desk.work()
    settle()
    desk.fault("error", "PUT", times=9, status=503)
    desk.turn(minutes=1)
    desk.work()
    if is_put_right:
        desk.set_clock(timedelta())
    desk.finish()
    [execution] = desk.client().executions(desk.clock.now() - timedelta(days=30))
    assert execution.status is ExecutionStatus.CANCELLED
    assert {run.status for run in desk.runs.list(limit=-1) if run.kind == "cancel"} == {RunStatus.SUCCEEDED}
