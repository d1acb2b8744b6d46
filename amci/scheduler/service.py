"""The scheduler: creates the runs of fires that have come, each once, whatever restarts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta

from amci.kernel import log
from amci.kernel.clock import Clock, timestamp
from amci.kernel.errors import NotFound, UsageError
from amci.kernel.run import NewRun
from amci.kernel.runs import RunStore
from amci.kernel.state import State
from amci.scheduler.due import Due, Timetable, due
from amci.scheduler.model import Decision, Fire, Overlap, Schedule
from amci.scheduler.store import ScheduleStore

_log = log.get("scheduler")

#: How often all cursors are brought up to now. An edited schedule is looked at from its cursor on, so an old
#: cursor would make fires of the past out of a new expression.
_BEAT = timedelta(minutes=1)
_INSTANT = timedelta(microseconds=1)


class Scheduler:
    """Knows when each schedule fires next, in memory, and touches the state only when one does; one thread."""

    def __init__(
        self,
        schedules: Mapping[str, Schedule],
        store: ScheduleStore,
        runs: RunStore,
        state: State,
        clock: Clock,
    ) -> None:
        """Raises UsageError if an expression or a time zone cannot be read."""
        self._timetables = {name: Timetable.of(schedule) for name, schedule in schedules.items()}
        self._store = store
        self._runs = runs
        self._state = state
        self._clock = clock
        self._has_begun = False
        self._seen_at = clock.now()  # the newest look
        self._beat_at: datetime | None = None  # when all cursors were last brought up to now
        self._next: dict[str, datetime] = {}  # schedule → the first fire that is not decided
        self._looked_until: dict[str, datetime] = {}  # schedule → up to when skipped local times are noted

    def tick(self) -> list[Fire]:
        """Decide on every fire that has come: one transaction with its runs, its history and its cursor."""
        self._begin()
        now = self._clock.now()
        if now < self._seen_at:
            self._begin_again(now)
        self._seen_at = now
        ready = [schedule_id for schedule_id, fire in self._next.items() if fire <= now]
        is_beat = self._beat_at is None or abs(now - self._beat_at) >= _BEAT
        if not ready and not is_beat:
            return []
        fires: list[Fire] = []
        cursors: dict[str, datetime] = {}
        with self._state.transaction():
            for schedule_id, state in self._store.states(ready).items():
                timetable = self._timetables[schedule_id]
                found = due(timetable, state.cursor_at, now) if state.paused_at is None else Due((), now)
                found = self._without_done(schedule_id, found)
                fires += self._decided(timetable.schedule, found.fires)
                cursors[schedule_id] = found.cursor
            self._runs.create(self._run_of(fire, key) for fire in fires if (key := fire.idempotency_key))
            self._store.record([*fires, *(self._skipped(now) if is_beat else ())])
            self._store.move(cursors)
            if is_beat:
                self._store.advance(now, but=[name for name, cursor in cursors.items() if cursor < now])
        self._look_ahead(cursors)
        self._beat_at = now if is_beat else self._beat_at
        return fires

    def next_due(self) -> datetime | None:
        """When `tick` next has something to do; in the past if it has now; None if nothing will come."""
        self._begin()
        return min(self._next.values(), default=None)

    def fire(self, schedule_id: str, at: datetime | None = None) -> str:
        """Create the run of one fire by hand, and return its key: of `at`, which happens once, or of now.

        Even if the schedule is paused or disabled. Raises NotFound; UsageError if `at` is yet to come.
        """
        if schedule_id not in self._timetables:
            raise NotFound(f"there is no schedule '{schedule_id}'", hint="`amci schedule list` shows them")
        now = self._clock.now()
        if at is not None and at > now:
            raise UsageError(f"{timestamp(at)} has not come yet", hint="name a moment of the past, or none")
        key = _key(schedule_id, at) if at else f"by-hand:{schedule_id}@{timestamp(now)}"
        fire = Fire(
            schedule_id=schedule_id, fire_time=at or now, decision=Decision.BY_HAND, idempotency_key=key
        )
        with self._state.transaction():
            if self._runs.create([self._run_of(fire, key)]):
                self._store.record([fire])
        return key

    def _begin(self) -> None:
        """Once: take note of what is configured, and compute when each schedule fires next."""
        if self._has_begun:
            return
        self._store.sync(timetable.schedule for timetable in self._timetables.values())
        self._begin_again(self._clock.now())
        self._has_begun = True

    def _begin_again(self, now: datetime) -> None:
        """Compute when each schedule fires next. None waits for a cursor that a clock left in the future."""
        self._store.take_back(now)
        states = self._store.states(self._timetables.keys())
        self._looked_until = {schedule_id: state.cursor_at for schedule_id, state in states.items()}
        self._look_ahead({schedule_id: state.cursor_at for schedule_id, state in states.items()})

    def _without_done(self, schedule_id: str, found: Due) -> Due:
        """Without fires that had their run already, while the clock was ahead."""
        done = self._store.done(schedule_id, [fire_time for fire_time, _ in found.fires])
        return Due([fire for fire in found.fires if fire[0] not in done], found.cursor) if done else found

    def _look_ahead(self, cursors: Mapping[str, datetime]) -> None:
        """Compute the next fires of these schedules, decided up to these cursors."""
        for schedule_id, cursor in cursors.items():
            fire = self._timetables[schedule_id].next_after(cursor)
            if fire is None:
                self._next.pop(schedule_id, None)
            else:
                self._next[schedule_id] = fire

    def _decided(self, schedule: Schedule, found: Iterable[tuple[datetime, Decision]]) -> Iterator[Fire]:
        """The fires of one schedule, with `overlap: skip` applied."""
        skips = schedule.overlap is Overlap.SKIP
        is_busy = skips and self._store.has_open_run(_lock(schedule))
        for fire_time, due_as in found:
            decision = Decision.SKIPPED_OVERLAP if due_as is Decision.CREATED and is_busy else due_as
            is_created = decision is Decision.CREATED
            is_busy = is_busy or (skips and is_created)
            yield Fire(
                schedule_id=schedule.schedule_id,
                fire_time=fire_time,
                decision=decision,
                idempotency_key=_key(schedule.schedule_id, fire_time) if is_created else None,
            )

    def _skipped(self, now: datetime) -> Iterator[Fire]:
        """What has not fired since the last such look, because its local time did not exist."""
        found = {
            schedule_id: skipped
            for schedule_id, since in self._looked_until.items()
            if (skipped := list(self._timetables[schedule_id].skipped_times(since, now)))
        }
        self._looked_until = dict.fromkeys(self._looked_until, now)
        for schedule_id, state in self._store.states(found.keys()).items():
            for odd in found[schedule_id] if state.paused_at is None else ():
                _log.warning("no fire", schedule=schedule_id, reason=odd.says())
                yield Fire(
                    schedule_id=schedule_id,
                    fire_time=odd.moment,
                    decision=Decision.NO_SUCH_TIME,
                    idempotency_key=None,
                )

    def _run_of(self, fire: Fire, key: str) -> NewRun:
        schedule = self._timetables[fire.schedule_id].schedule
        is_by_hand = fire.decision is Decision.BY_HAND
        return NewRun(
            idempotency_key=key,
            kind=schedule.run.kind,
            payload={**schedule.run.payload, "at": timestamp(fire.fire_time)},
            tenant_id=schedule.run.tenant_id,
            priority=schedule.run.priority,
            pool=schedule.run.pool,
            lock_key=None if schedule.overlap is Overlap.ALLOW else _lock(schedule),
            batch_key=schedule.run.batch_key,
            run_after=None if is_by_hand else self._after(fire.fire_time, _delay(key, schedule.jitter)),
        )

    def _after(self, fire_time: datetime, delay: timedelta) -> datetime:
        """No later than the delay from now, if the clock was set back since the fire came."""
        return min(fire_time, self._clock.now()) + delay


def _key(schedule_id: str, fire_time: datetime) -> str:
    return f"fire:{schedule_id}@{timestamp(fire_time)}"


def _lock(schedule: Schedule) -> str:
    # With `skip` too: it queues a fire by hand behind the others, and finding a run by its lock costs nothing.
    return f"schedule:{schedule.schedule_id}"


def _delay(key: str, jitter: timedelta) -> timedelta:
    """From nothing up to `jitter`, always the same for one key."""
    if not jitter:
        return jitter
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:6]) * _INSTANT % jitter
