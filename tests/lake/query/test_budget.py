"""What is left of a query that is interrupted while DuckDB does not heed it."""

from __future__ import annotations

import signal
import threading
from datetime import timedelta

import pytest

from amci.kernel.signals import stopping
from amci.lake.query import result
from amci.lake.query.result import TimeBudget


class Deaf:
    """A connection that does not heed interruptions, during the second of which Ctrl-C comes again."""

    interruptions = 0

    def interrupt(self) -> None:
        self.interruptions += 1
        if self.interruptions == 2:
            signal.raise_signal(signal.SIGINT)


def test_a_second_interrupt_does_not_hide_that_duckdb_is_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(result, "_GRACE", 60)
    release, stop = threading.Event(), threading.Event()
    stop.set()
    budget = TimeBudget(Deaf(), timedelta(hours=1), hide_values=False, stop=stop)  # type: ignore[arg-type]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            budget.spend(release.wait)
        assert budget.is_stuck
    finally:
        signal.signal(signal.SIGINT, before)
        release.set()


def test_what_becomes_of_a_second_interrupt_in_c_code_is_an_interrupt() -> None:
    def ask_twice() -> None:
        with stopping(is_program=False):
            signal.raise_signal(signal.SIGINT)
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt:
                raise RuntimeError("Query interrupted") from None

    with pytest.raises(KeyboardInterrupt):
        ask_twice()
