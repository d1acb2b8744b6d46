"""Durations as people read them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from amci.kernel.clock import spelled


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.5, "0.5 s"),
        (25, "25 s"),
        (90, "90 s"),
        (120, "2 min"),
        (5400, "90 min"),
        (86_400, "1 d"),
        (90_000, "25 h"),
    ],
)
def test_durations_are_spelled_for_people(seconds: float, text: str) -> None:
    assert spelled(timedelta(seconds=seconds)) == text
