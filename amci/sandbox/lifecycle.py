"""When executions start and end, given their delays and the slots of instance and account. A pure rule."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

_END, _ARRIVAL = 0, 1


@dataclass(frozen=True, slots=True)
class Move:
    """One step of one execution; times are microseconds since 1970."""

    seq: int
    step: Literal["start", "finish"]
    at: int
    ends_at: int | None = None  #: of a start


@dataclass(slots=True)
class Queue:
    """The executions of one instance."""

    running: Sequence[tuple[int, int]]  #: (seq, when it ends)
    #: (seq, when it may start, how long it runs), in order of creation
    ready: Sequence[tuple[int, int, int]]
    next: int = field(default=0, init=False)  #: index of the first that has not started
    taken: int = field(default=0, init=False)  #: number of slots in use
    is_held: bool = field(default=False, init=False)  #: whether the first waits for a slot of its instance

    def first(self) -> tuple[int, int, int] | None:
        """The first that has not started."""
        return self.ready[self.next] if self.next < len(self.ready) else None


def moves(queues: Sequence[Queue], *, now: int, since: int, slots: int, room: int) -> Iterator[Move]:
    """The steps up to `now` in the instances of one account, in order.

    Each instance has `slots`; the account has `room` for all executions that run in `queues`. A queue is first in,
    first out; if the account is full, the execution that was created first starts first. `since` is the `now` of the
    previous call: a slot that was free then was taken then, so an execution that takes a slot freed otherwise (by
    cancelling) starts no earlier.
    """
    events: list[tuple[int, int, int, Queue]] = []  # at equal times ends come before arrivals
    waiting: list[tuple[int, Queue]] = []  # heads of queues whose instance has a slot, by creation
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
    """Add the arrival of the queue's next execution, no earlier than the one before it."""
    if first := queue.first():
        heapq.heappush(events, (max(since, first[1]), _ARRIVAL, first[0], queue))
