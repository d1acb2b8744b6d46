"""The scheduler: creates the runs of fires that have come, each once, whatever restarts."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache

from amci.kernel import log
from amci.kernel.clock import Clock, timestamp
from amci.kernel.errors import NotFound, UsageError
from amci.kernel.run import NewRun
from amci.kernel.runs import RunStore
from amci.kernel.state import State
from amci.scheduler.clock_changes import has_changes
from amci.scheduler.due import Due, Timetable, due
from amci.scheduler.model import Decision, Fire, Overlap, Schedule
from amci.scheduler.store import ScheduleStore, fire_text

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
        self._schedules = dict(schedules)
        self._timetables = Timetable.shared(schedules)
        self._store = store
        self._runs = runs
        self._state = state
        self._clock = clock
        self._has_begun = False
        self._seen_at = clock.now()  # the newest look
        self._beat_at: datetime | None = None  # when all cursors were last brought up to now
        self._next: dict[str, datetime] = {}  # schedule → the first fire that is not decided
        self._next_from: dict[str, datetime] = {}  # schedule → the cursor it was counted from
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
        with self._state.transaction():
            looks = self._looks(ready, now)
            fires = self._decided(looks)
            cursors = {schedule_id: look.cursor for schedule_id, look in looks.items()}
            self._runs.create(self._run_of(fire, key, now) for fire in fires if (key := fire.idempotency_key))
            self._store.record([*fires, *(self._skipped(now) if is_beat else ())])
            self._store.move(cursors)
            if is_beat:
                self._store.advance(now, but=[name for name, cursor in cursors.items() if cursor < now])
        self._expect({schedule_id: look.next_fire for schedule_id, look in looks.items()}, cursors)
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
        if schedule_id not in self._schedules:
            raise NotFound(f"there is no schedule '{schedule_id}'", hint="`amci schedule list` shows them")
        now = self._clock.now()
        if at is not None and at > now:
            raise UsageError(f"{timestamp(at)} has not come yet", hint="name a moment of the past, or none")
        at = at and at.astimezone(UTC)
        key = _key(schedule_id, at) if at else f"by-hand:{schedule_id}@{timestamp(now)}"
        fire = Fire(
            schedule_id=schedule_id, fire_time=at or now, decision=Decision.BY_HAND, idempotency_key=key
        )
        with self._state.transaction():
            if self._runs.create([self._run_of(fire, key, now)]):
                self._store.record([fire])
        return key

    def _begin(self) -> None:
        """Once: take note of what is configured, and compute when each schedule fires next."""
        if self._has_begun:
            return
        self._store.sync(self._schedules.values())
        self._begin_again(self._clock.now())
        self._has_begun = True

    def _begin_again(self, now: datetime) -> None:
        """Compute when each schedule fires next. None waits for a cursor that a clock left in the future."""
        self._store.take_back(now)
        states = self._store.states(self._schedules.keys())
        self._looked_until = {schedule_id: state.cursor_at for schedule_id, state in states.items()}
        next_after = cache(Timetable.next_after)
        self._expect(
            {
                schedule_id: next_after(self._timetables[schedule_id], cursor)
                for schedule_id, cursor in self._looked_until.items()
            },
            self._looked_until,
        )

    def _expect(self, next_fires: Mapping[str, datetime | None], cursors: Mapping[str, datetime]) -> None:
        """Keep in mind when these schedules fire next, after their cursors."""
        self._next_from.update(cursors)
        for schedule_id, fire in next_fires.items():
            if fire is None:
                self._next.pop(schedule_id, None)
            else:
                self._next[schedule_id] = fire

    def _looks(self, ready: Collection[str], now: datetime) -> dict[str, Due]:
        """What is due of these schedules, without fires that had their run already, while the clock was ahead."""
        look_at = cache(due)  # schedules that share a timetable mostly share a cursor, too
        looks = {}
        for schedule_id, state in self._store.states(ready).items():
            cursor = now if state.paused_at else state.cursor_at
            # Another process may have moved the cursor since.
            is_known = self._next_from[schedule_id] <= cursor < self._next[schedule_id]
            first = self._next[schedule_id] if is_known else None
            looks[schedule_id] = look_at(self._timetables[schedule_id], cursor, now, first)
        done = self._store.done(looks.keys(), now)
        for schedule_id in {schedule_id for schedule_id, _ in done}:
            look = looks[schedule_id]
            fires = [fire for fire in look.fires if (schedule_id, fire[0]) not in done]
            looks[schedule_id] = replace(look, fires=fires)
        return looks

    def _decided(self, looks: Mapping[str, Due]) -> list[Fire]:
        """The fires that are due, with `overlap: skip` applied."""
        skips = {
            _lock(schedule_id)
            for schedule_id, look in looks.items()
            if look.fires and self._schedules[schedule_id].overlap is Overlap.SKIP
        }
        busy = self._store.busy(skips)
        fires = []
        for schedule_id, look in looks.items():
            lock = _lock(schedule_id)
            for fire_time, due_as in look.fires:
                is_created = due_as is Decision.CREATED and lock not in busy
                is_skipped = due_as is Decision.CREATED and not is_created
                if is_created and lock in skips:
                    busy.add(lock)
                fires.append(
                    Fire(
                        schedule_id=schedule_id,
                        fire_time=fire_time,
                        decision=Decision.SKIPPED_OVERLAP if is_skipped else due_as,
                        idempotency_key=_key(schedule_id, fire_time) if is_created else None,
                    )
                )
        return fires

    def _skipped(self, now: datetime) -> Iterator[Fire]:
        """What has not fired since the last such look, because its local time did not exist."""
        is_set = cache(lambda zone, since: has_changes(since, now, zone))
        skipped_times = cache(lambda timetable, since: list(timetable.skipped_times(since, now)))
        found = {
            schedule_id: skipped
            for schedule_id, since in self._looked_until.items()
            if is_set(self._timetables[schedule_id].zone, since)
            and (skipped := skipped_times(self._timetables[schedule_id], since))
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

    def _run_of(self, fire: Fire, key: str, now: datetime) -> NewRun:
        schedule = self._schedules[fire.schedule_id]
        is_by_hand = fire.decision is Decision.BY_HAND
        return NewRun(
            idempotency_key=key,
            kind=schedule.run.kind,
            payload={**schedule.run.payload, "at": fire_text(fire.fire_time)},
            tenant_id=schedule.run.tenant_id,
            priority=schedule.run.priority,
            pool=schedule.run.pool,
            lock_key=None if schedule.overlap is Overlap.ALLOW else _lock(fire.schedule_id),
            batch_key=schedule.run.batch_key,
            # No later than the delay from now, if the clock was set back since the fire came.
            run_after=None if is_by_hand else min(fire.fire_time, now) + _delay(key, schedule.jitter),
        )


def _key(schedule_id: str, fire_time: datetime) -> str:
    return f"fire:{schedule_id}@{fire_text(fire_time)}"


def _lock(schedule_id: str) -> str:
    # With `skip` too: it queues a fire by hand behind the others, and finding a run by its lock costs nothing.
    return f"schedule:{schedule_id}"


def _delay(key: str, jitter: timedelta) -> timedelta:
    """From nothing up to `jitter`, always the same for one key."""
    if not jitter:
        return jitter
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:6]) * _INSTANT % jitter
