"""When executions start and end: delays, and the slots of instances and their account, as a pure rule."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

_END, _ARRIVAL = 0, 1


@dataclass(frozen=True, slots=True)
class Move:
    """One step of one execution; moments are microseconds since 1970."""

    seq: int
    step: Literal["start", "finish"]
    at: int
    ends_at: int | None = None  #: of a start


@dataclass(slots=True)
class Queue:
    """The executions of one instance."""

    running: Sequence[tuple[int, int]]  #: (seq, moment it ends)
    ready: Sequence[
        tuple[int, int, int]
    ]  #: (seq, moment it may start, how long it runs) in order of creation
    next: int = field(default=0, init=False)  #: place of the first that has not started
    taken: int = field(default=0, init=False)  #: slots
    is_held: bool = field(default=False, init=False)  #: whether the first one waits for a slot of its own

    def first(self) -> tuple[int, int, int] | None:
        """The first that has not started."""
        return self.ready[self.next] if self.next < len(self.ready) else None


def moves(queues: Sequence[Queue], *, now: int, since: int, slots: int, room: int) -> Iterator[Move]:
    """What has happened until `now` in the instances of one account, in order.

    Each instance has `slots`, the account has `room` for all that run in `queues`. Nobody overtakes in a
    queue; where the account is full, the one that was created first goes first. `since` is the last look: a
    slot that was free then would have been taken then, so whoever starts in a slot freed otherwise
    (cancelled) starts no earlier.
    """
    events: list[tuple[int, int, int, Queue]] = []  # what ends at a moment is done before what comes then
    waiting: list[tuple[int, Queue]] = []  # firsts whose instance has a slot, by creation
    for queue in queues:
        queue.taken = len(queue.running)
        room -= queue.taken
        events += [(at, _END, seq, queue) for seq, at in queue.running]
        _arrive(events, queue, since)
    heapq.heapify(events)
    while events and events[0][0] <= now:
        at, kind, seq, queue = heapq.heappop(events)
        if kind == _END:
            yield Move(seq, "finish", at)
            queue.taken -= 1
            room += 1
        if (kind == _ARRIVAL or queue.is_held) and (first := queue.first()):
            queue.is_held = queue.taken >= slots
            if not queue.is_held:
                heapq.heappush(waiting, (first[0], queue))
        if events and events[0][:2] == (at, _END):
            continue
        while waiting and room > 0:
            seq, queue = heapq.heappop(waiting)
            _, _, lasts = queue.ready[queue.next]
            yield Move(seq, "start", at, at + lasts)
            queue.taken += 1
            queue.next += 1
            room -= 1
            heapq.heappush(events, (at + lasts, _END, seq, queue))
            _arrive(events, queue, at)


def _arrive(events: list[tuple[int, int, int, Queue]], queue: Queue, since: int) -> None:
    """The next of the queue may start, no earlier than the one before it."""
    if first := queue.first():
        heapq.heappush(events, (max(since, first[1]), _ARRIVAL, first[0], queue))
