"""Whom a lookalike audience is made of: the people who share most segments with its seed.

AMC says how large such audiences become in Europe and the Americas, from 0.5 to 1 million people for MOST_SIMILAR
to 3 to 10 million for MOST_BROAD. The sandbox takes its synthetic people for twenty million, so these are parts of
all who are not in the seed. A segment is typical of the seed where a larger part of the seed has it than of all
people. Those who share most typical segments come first: so many segments are asked for that the smallest size is
still reached, and of those who have them no more are taken than the largest size allows.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Final

#: Smallest and largest size in millions (Amazon's guide to lookalike audiences).
_SIZES: Final = {
    "MOST_SIMILAR": (0.5, 1.0),
    "SIMILAR": (1.5, 3.0),
    "BALANCED": (2.0, 5.5),
    "BROAD": (2.5, 7.5),
    "MOST_BROAD": (3.0, 10.0),
}
_PEOPLE = 20.0  #: millions
_SEGMENTS = "dsp_impressions_by_user_segments_for_audiences"


def members(reach: str, seed: str, users: Callable[[str], int]) -> int:
    """How many people a lookalike audience has; `users` counts those a query of AMC's finds."""
    smallest, largest = sizes(reach, users(_others(seed)))
    found = users(_alike(seed, 1))
    for segments in count(2):
        if (fewer := users(_alike(seed, segments))) < max(smallest, 1):
            break
        found = fewer
    return min(found, largest)


def sizes(reach: str, others: int) -> tuple[int, int]:
    """Smallest and largest size where so many people are not in the seed."""
    smallest, largest = _SIZES[reach]
    return round(others * smallest / _PEOPLE), round(others * largest / _PEOPLE)


def _others(seed: str) -> str:
    return (
        f"WITH {_held_and_seed(seed)}\n"
        "SELECT h.user_id FROM held h LEFT JOIN seed s ON h.user_id = s.user_id WHERE s.user_id IS NULL"
    )


def _alike(seed: str, segments: int) -> str:
    """Those not in the seed who have at least so many segments that are typical of it."""
    return f"""WITH {_held_and_seed(seed)},
sizes AS (
  SELECT COUNT(DISTINCT h.user_id) AS people, COUNT(DISTINCT s.user_id) AS seeds
  FROM held h LEFT JOIN seed s ON h.user_id = s.user_id
),
typical AS (
  SELECT h.behavior_segment_id
  FROM held h LEFT JOIN seed s ON h.user_id = s.user_id CROSS JOIN sizes z
  GROUP BY h.behavior_segment_id, z.people, z.seeds
  HAVING COUNT(s.user_id) * z.people > COUNT(h.user_id) * z.seeds
)
SELECT h.user_id
FROM held h
INNER JOIN typical t ON h.behavior_segment_id = t.behavior_segment_id
LEFT JOIN seed s ON h.user_id = s.user_id
WHERE s.user_id IS NULL
GROUP BY h.user_id
HAVING COUNT(DISTINCT h.behavior_segment_id) >= {segments}"""


def _held_and_seed(seed: str) -> str:
    """The query stands between lines of its own: it may end with a comment."""
    return f"""seed AS (
  SELECT DISTINCT q.user_id FROM (
{seed}
  ) AS q WHERE q.user_id IS NOT NULL
),
held AS (
  SELECT DISTINCT user_id, behavior_segment_id FROM {_SEGMENTS}
  WHERE user_id IS NOT NULL AND behavior_segment_id IS NOT NULL
)"""
