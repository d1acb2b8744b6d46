"""When executions start and end: slots and delays as a pure rule over moments."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Move:
    """One step of one execution."""

    seq: int
    step: Literal["start", "finish"]
    at: int  #: microseconds since 1970


def moves(
    running: Sequence[tuple[int, int]],
    ready: Sequence[tuple[int, int]],
    *,
    now: int,
    since: int,
    slots: int,
    lasts: int,
) -> Iterator[Move]:
    """What has happened until `now`, in order.

    `running` has (seq, moment it may end), `ready` has (seq, moment it may start) in order of creation;
    `lasts` is how long an execution runs. `since` is the last look: a slot that was free then would have been
    taken then, so whoever starts in a slot freed otherwise (cancelled) starts no earlier.
    """
    ends = [(at, seq) for seq, at in running]
    heapq.heapify(ends)
    start = since
    for seq, ready_at in ready:
        # nobody overtakes in the queue
        start = max(start, ready_at)
        while ends and (len(ends) >= slots or ends[0][0] <= start):
            if ends[0][0] > now:
                return
            at, ended = heapq.heappop(ends)
            yield Move(ended, "finish", at)
            start = max(start, at)
        yield Move(seq, "start", start)
        heapq.heappush(ends, (start + lasts, seq))
    while ends and ends[0][0] <= now:
        at, ended = heapq.heappop(ends)
        yield Move(ended, "finish", at)
