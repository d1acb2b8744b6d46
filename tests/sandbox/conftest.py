"""What tests of the sandbox share: a client that calls it, and a clock to turn."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from amci.kernel.testing import FakeClock
from amci.sandbox.engine import QueryEngine
from amci.sandbox.options import SandboxOptions
from amci.sandbox.store import Store

from .calling import Caller, Calling


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(tmp_path: Path, clock: FakeClock) -> Iterator[Store]:
    with Store.open(tmp_path / "sandbox.db", clock) as opened:
        yield opened


@pytest.fixture
def calling(tmp_path: Path, clock: FakeClock, shared_events: Path) -> Iterator[Calling]:
    """Opens sandboxes, each in the same directory, and closes them in the end."""
    opened = []

    def call(**options: Any) -> Caller:
        events = tmp_path / "sandbox" / "events"
        # with an anchor, events may begin before those that are there
        if "anchor" not in options and not events.exists():
            events.parent.mkdir(exist_ok=True)
            events.symlink_to(shared_events)
        opened.append(Caller(tmp_path / "sandbox", clock, **options))
        return opened[-1]

    yield call
    for caller in opened:
        caller.close()


@pytest.fixture
def amc(calling: Calling) -> Caller:
    """A sandbox without delays, with the workflow `reach`."""
    caller = calling()
    assert caller.workflow().status == 200
    return caller


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QueryEngine]:
    """A session over the events of 300 users and 30 days, for queries."""
    engine = QueryEngine(tmp_path_factory.mktemp("events"), SandboxOptions(scale=0.003, days=30))
    yield engine
    engine.close()
