"""A clock that is turned by hand, and a state file that goes by it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from amci.kernel.clock import Clock
from amci.kernel.state import State
from amci.kernel.testing import FakeClock


@pytest.fixture
def clock() -> Clock:
    return FakeClock()


@pytest.fixture
def state(tmp_path: Path, clock: Clock) -> Iterator[State]:
    with State.open(tmp_path / "amci.db", clock) as opened:
        yield opened
