from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import groupby, product
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from amci.kernel.clock import timestamp
from amci.kernel.errors import NotFound, UsageError
from amci.kernel.files import on_fault_point
from amci.kernel.run import Done, Run, RunStatus
from amci.kernel.runs import RunStore
from amci.kernel.state import State
from amci.kernel.testing import FakeClock
from amci.scheduler import expression
from amci.scheduler.model import CatchUp, Decision, Fire, FireRun, Overlap, Schedule
from amci.scheduler.service import Scheduler
from amci.scheduler.store import ScheduleStore

RUN = FireRun(
    kind="execute", payload={"schedule": "s"}, tenant_id="acme", pool="amc:x", batch_key="acme", priority=2
)


def at(text: str, day: int = 1) -> datetime:
    return datetime.fromisoformat(f"2026-11-{day:02}T{text}").replace(tzinfo=UTC)


def schedule(schedule_id: str = "s", expression: str = "0 * * * *", **more: object) -> Schedule:
    return Schedule(**{"schedule_id": schedule_id, "expression": expression, "run": RUN} | more)  # type: ignore[arg-type]


def key(text: str, schedule_id: str = "s", day: int = 1) -> str:
    return f"fire:{schedule_id}@{timestamp(at(text, day))}"


class House:
    """One state file, a clock to turn, and schedulers that come and go."""

    def __init__(self, state: State, clock: FakeClock) -> None:
        self.state, self.clock = state, clock
        self.runs = RunStore(state, clock)
        self.store = ScheduleStore(state, clock)

    def start(self, *schedules: Schedule) -> Scheduler:
        """A new process, which looks at once."""
        by_id = {s.schedule_id: s for s in schedules}
        scheduler = Scheduler(by_id, self.store, self.runs, self.state, self.clock)
        scheduler.tick()
        return scheduler

    def until(self, text: str, day: int = 1) -> None:
        """Let it be so late, forward or back."""
        self.clock.turn(at(text, day) - self.clock.now())

    def made(self) -> list[str]:
        """Keys of all runs, oldest first."""
        return [run.idempotency_key for run in self.all_runs()]

    def all_runs(self) -> list[Run]:
        return list(self.runs.list(limit=-1))[::-1]

    def decided(self, schedule_id: str = "s") -> list[str]:
        """The history, oldest first."""
        past = self.store.history(schedule_id, 10_000)
        return [f"{p.fire.fire_time:%H:%M} {p.fire.decision}" for p in reversed(past)]

    def work(self) -> None:
        """Do every run that may be claimed."""
        while taken := self.runs.claim(["execute"], "w", timedelta(minutes=1)):
            self.runs.finish(taken, {run.run_id: Done() for run in taken})


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    clock = FakeClock(at("06:30"))
    with State.open(tmp_path / "amci.db", clock) as state:
        yield House(state, clock)


def test_a_fire_makes_one_run_with_all_that_the_schedule_says(house: House) -> None:
    scheduler = house.start(schedule())
    assert (house.made(), scheduler.next_due()) == ([], at("07:00"))
    house.until("07:00")
    fire = Fire(
        schedule_id="s", fire_time=at("07:00"), decision=Decision.CREATED, idempotency_key=key("07:00")
    )
    assert scheduler.tick() == [fire]
    (run,) = house.all_runs()
    assert run.payload == {"schedule": "s", "at": "2026-11-01T07:00:00.000000Z"}
    assert (run.idempotency_key, run.correlation_id) == (key("07:00"), key("07:00"))
    assert (run.kind, run.tenant_id, run.pool, run.batch_key, run.priority) == (
        ("execute", "acme", "amc:x", "acme", 2)
    )
    assert (run.lock_key, run.run_after) == ("schedule:s", at("07:00"))
    assert scheduler.next_due() == at("08:00")


def test_a_second_look_at_the_same_moment_does_nothing(house: House) -> None:
    scheduler = house.start(schedule())
    house.until("07:00")
    assert len(scheduler.tick()) == 1
    assert scheduler.tick() == []
    assert house.start(schedule()).tick() == []
    assert house.made() == [key("07:00")]


def test_two_schedulers_on_one_state_make_one_run(house: House) -> None:
    one, other = house.start(schedule()), house.start(schedule())
    house.until("07:00")
    assert (len(one.tick()), len(other.tick())) == (1, 0)
    assert house.made() == [key("07:00")]


@pytest.mark.parametrize("is_asleep", [False, True], ids=["at work", "asleep"])
def test_a_local_time_that_did_not_exist_stands_in_the_history(tmp_path: Path, *, is_asleep: bool) -> None:
    clock = FakeClock(datetime(2027, 3, 27, 12, tzinfo=UTC))
    at_two = schedule(expression="30 2 * * *", time_zone="Europe/Berlin", catch_up=CatchUp.NONE)
    with State.open(tmp_path / "amci.db", clock) as state:
        house = House(state, clock)
        scheduler = house.start(at_two)
        for _ in range(2 if is_asleep else 48):
            clock.turn(timedelta(hours=24 if is_asleep else 1))
            (house.start(at_two) if is_asleep else scheduler).tick()
        past = house.store.history("s")
        assert [(p.fire.fire_time.isoformat(), p.fire.decision) for p in reversed(past)] == [
            ("2027-03-28T01:00:00+00:00", "no_such_time"),
            ("2027-03-29T00:30:00+00:00", "missed"),
        ]
        assert house.made() == []


def test_a_schedule_seen_first_begins_now(house: House) -> None:
    house.start(schedule(catch_up=CatchUp.ALL, start_at=at("01:00")))
    assert (house.made(), house.decided()) == ([], [])


@pytest.mark.parametrize(
    ("catch_up", "runs", "history"),
    [
        (CatchUp.NONE, [], ["07:00 missed", "08:00 missed", "09:00 missed"]),
        (CatchUp.LAST, ["09:00"], ["07:00 missed", "08:00 missed", "09:00 created"]),
        (CatchUp.ALL, ["07:00", "08:00", "09:00"], ["07:00 created", "08:00 created", "09:00 created"]),
    ],
)
@pytest.mark.parametrize("is_asleep", [False, True], ids=["stopped", "asleep"])
def test_after_three_missed_fires_catch_up_decides(
    house: House, catch_up: CatchUp, runs: list[str], history: list[str], is_asleep: bool
) -> None:
    hourly = schedule(catch_up=catch_up)
    running = house.start(hourly)
    house.until("09:10")
    (running if is_asleep else house.start(hourly)).tick()
    assert house.made() == [key(text) for text in runs]
    assert house.decided() == history


@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_clock_set_back_an_hour_fires_nothing_until_it_has_caught_up(
    house: House, is_restarted: bool
) -> None:
    hourly = schedule(catch_up=CatchUp.NONE)
    scheduler = house.start(hourly)
    house.until("07:00")
    scheduler.tick()
    house.until("07:10")
    scheduler.tick()
    house.until("06:10")
    for minute in range(6 * 60 + 10, 8 * 60, 7):
        house.until(f"{minute // 60:02}:{minute % 60:02}")
        scheduler = house.start(hourly) if is_restarted else scheduler
        assert scheduler.tick() == []
        assert house.decided() == ["07:00 created"]
    house.until("08:00")
    assert [fire.fire_time for fire in scheduler.tick()] == [at("08:00")]
    assert house.made() == [key("07:00"), key("08:00")]


@pytest.mark.parametrize(("catch_up", "created"), [(CatchUp.NONE, 0), (CatchUp.LAST, 1), (CatchUp.ALL, 72)])
def test_a_clock_set_forward_three_days_is_like_missed_fires(
    house: House, catch_up: CatchUp, created: int
) -> None:
    scheduler = house.start(schedule(catch_up=catch_up))
    house.until("06:30", day=4)
    fires = scheduler.tick()
    assert len(fires) == 72
    assert len(house.made()) == created
    assert house.made()[-1:] == [key("06:00", day=4)][:created]


def test_a_clock_set_far_ahead_by_mistake_is_mended_by_pause_and_resume(house: House) -> None:
    scheduler = house.start(schedule(catch_up=CatchUp.NONE))
    house.until("06:30", day=20)
    scheduler.tick()
    house.until("07:00")
    assert scheduler.tick() == []
    house.store.pause("s")
    house.store.resume("s")
    house.until("08:00")
    house.start(schedule(catch_up=CatchUp.NONE)).tick()
    assert house.made() == [key("08:00")]


def test_many_missed_fires_are_caught_up_look_by_look(house: House) -> None:
    minutely = schedule(expression="* * * * *", catch_up=CatchUp.ALL)
    scheduler = house.start(minutely)
    house.until("06:30", day=2)
    assert len(scheduler.tick()) == 1000
    assert scheduler.next_due() == house.clock.now() - timedelta(minutes=439)
    restarted = Scheduler({"s": minutely}, house.store, house.runs, house.state, house.clock)
    assert len(restarted.tick()) == 440
    assert len(set(house.made())) == len(house.made()) == 1440
    assert restarted.next_due() == at("06:31", day=2)


def test_an_edited_schedule_invents_nothing_of_the_time_before(house: House) -> None:
    monthly = house.start(schedule(expression="0 0 1 * *", catch_up=CatchUp.ALL))
    house.until("07:10", day=9)
    monthly.tick()
    house.until("07:10:30", day=9)
    edited = house.start(schedule(expression="0 * * * *", catch_up=CatchUp.ALL))
    assert house.made() == []
    assert edited.next_due() == at("08:00", day=9)


def test_a_schedule_edited_while_due_fires_by_its_new_expression_only(house: House) -> None:
    house.start(schedule(expression="0 7 * * *", catch_up=CatchUp.ALL))
    house.until("07:40")
    house.start(schedule(expression="30 7 * * *", catch_up=CatchUp.ALL))
    assert house.made() == [key("07:30")]


def test_an_edit_after_a_fire_does_not_repeat_it(house: House) -> None:
    scheduler = house.start(schedule())
    house.until("07:00")
    scheduler.tick()
    house.until("07:01")
    house.start(schedule(expression="0 */1 * * *", catch_up=CatchUp.ALL))
    assert house.made() == [key("07:00")]


@pytest.mark.parametrize(
    "gone", [(), (schedule(catch_up=CatchUp.ALL, is_enabled=False),)], ids=["gone", "off"]
)
def test_a_schedule_that_comes_back_begins_now(house: House, gone: tuple[Schedule, ...]) -> None:
    hourly = schedule(catch_up=CatchUp.ALL)
    house.start(hourly)
    house.until("09:10")
    assert house.start(*gone).next_due() is None
    house.until("11:10")
    house.start(hourly)
    assert house.made() == []
    assert house.decided() == []


def test_a_rolled_back_look_leaves_no_trace_and_is_done_again(house: House) -> None:
    scheduler = house.start(schedule(), schedule("t"))
    house.until("07:00")

    def fall(name: str) -> None:
        if name == "state.before_commit":
            raise RuntimeError(name)

    on_fault_point(fall)
    try:
        with pytest.raises(RuntimeError):
            scheduler.tick()
    finally:
        on_fault_point(None)
    assert (house.made(), house.decided()) == ([], [])
    assert len(scheduler.tick()) == 2
    assert house.made() == [key("07:00"), key("07:00", "t")]


def test_what_was_decided_before_a_crash_is_not_decided_again(house: House) -> None:
    hourly = schedule(catch_up=CatchUp.NONE)
    scheduler = house.start(hourly)
    house.until("07:00")
    scheduler.tick()
    house.until("07:59:59")  # killed here, long after the last fire
    house.until("08:00:01")
    house.start(hourly)
    assert house.decided() == ["07:00 created", "08:00 created"]


def test_a_pause_survives_a_restart_and_resume_fires_nothing_of_it(house: House) -> None:
    hourly = schedule(catch_up=CatchUp.ALL)
    scheduler = house.start(hourly)
    house.store.pause("s")
    house.until("08:10")
    assert scheduler.tick() == []
    assert house.start(hourly).tick() == []
    house.until("09:10")
    house.store.resume("s")
    assert scheduler.tick() == []
    house.until("10:00")
    scheduler.tick()
    assert house.decided() == ["10:00 created"]


def test_a_pause_while_amci_is_not_running_holds_too(house: House) -> None:
    hourly = schedule(catch_up=CatchUp.ALL)
    house.store.pause("s")
    house.until("06:40")
    house.store.pause("s")
    assert house.store.states(["s"])["s"].paused_at == at("06:30")
    scheduler = house.start(hourly)
    house.until("09:10")
    assert scheduler.tick() == []
    house.store.resume("s")
    assert house.start(hourly).next_due() == at("10:00")
    assert house.made() == []


def test_a_long_pause_leaves_nothing_to_catch_up_with(house: House) -> None:
    scheduler = house.start(schedule(expression="* * * * *", catch_up=CatchUp.ALL))
    house.store.pause("s")
    house.until("06:30", day=9)
    assert scheduler.tick() == []
    assert scheduler.next_due() == at("06:31", day=9)


def test_resuming_what_is_not_paused_changes_nothing(house: House) -> None:
    hourly = schedule(catch_up=CatchUp.ALL)
    house.start(hourly)
    house.until("07:10")
    house.store.resume("s")
    house.start(hourly)
    assert house.made() == [key("07:00")]


@pytest.mark.parametrize(
    ("overlap", "history", "lock"),
    [
        (Overlap.QUEUE, ["07:00 created", "08:00 created"], "schedule:s"),
        (Overlap.SKIP, ["07:00 created", "08:00 skipped_overlap"], "schedule:s"),
        (Overlap.ALLOW, ["07:00 created", "08:00 created"], None),
    ],
)
@pytest.mark.parametrize("is_running", [False, True])
def test_a_fire_while_the_earlier_run_has_not_ended(
    house: House, overlap: Overlap, history: list[str], lock: str | None, is_running: bool
) -> None:
    scheduler = house.start(schedule(overlap=overlap))
    house.until("07:00")
    scheduler.tick()
    if is_running:
        house.runs.claim(["execute"], "w", timedelta(hours=2))
    house.until("08:00")
    scheduler.tick()
    assert house.decided() == history
    assert {run.lock_key for run in house.all_runs()} == {lock}
    waiting = house.runs.claim(["execute"], "w", timedelta(hours=2), limit=5)
    assert bool(waiting) is (overlap is Overlap.ALLOW or not is_running)


@pytest.mark.parametrize("overlap", Overlap)
def test_a_fire_after_the_earlier_run_has_ended_runs_in_any_case(house: House, overlap: Overlap) -> None:
    scheduler = house.start(schedule(overlap=overlap))
    for hour in ("07:00", "08:00"):
        house.until(hour)
        scheduler.tick()
        house.work()
    assert [run.status for run in house.all_runs()] == [RunStatus.SUCCEEDED] * 2


def test_with_skip_fires_caught_up_together_make_one_run(house: House) -> None:
    house.start(schedule(overlap=Overlap.SKIP, catch_up=CatchUp.ALL))
    house.until("09:10")
    house.start(schedule(overlap=Overlap.SKIP, catch_up=CatchUp.ALL))
    assert house.decided() == ["07:00 created", "08:00 skipped_overlap", "09:00 skipped_overlap"]


def test_jitter_spreads_schedules_and_is_the_same_each_time(house: House) -> None:
    jitter = timedelta(minutes=10)
    scheduler = house.start(*(schedule(f"s{i}", jitter=jitter) for i in range(50)))
    house.until("07:00")
    scheduler.tick()
    waits = {run.idempotency_key: run.run_after - at("07:00") for run in house.all_runs()}
    assert all(timedelta(0) <= wait < jitter for wait in waits.values())
    assert len(set(waits.values())) == 50
    assert max(waits.values()) - min(waits.values()) > jitter / 2
    assert waits[key("07:00", "s7")] == timedelta(seconds=243, microseconds=715776)


def test_by_hand_a_fire_of_now_is_always_new(house: House) -> None:
    scheduler = house.start(schedule())
    first = scheduler.fire("s")
    house.until("06:31")
    second = scheduler.fire("s")
    assert house.made() == [first, second]
    assert first == f"by-hand:s@{timestamp(at('06:30'))}"
    assert house.decided() == ["06:30 by_hand", "06:31 by_hand"]
    assert house.all_runs()[0].payload["at"] == timestamp(at("06:30"))


def test_by_hand_a_fire_of_a_given_time_happens_once(house: House) -> None:
    hourly = schedule(catch_up=CatchUp.NONE)
    scheduler = house.start(hourly)
    house.until("08:10")
    scheduler.tick()
    assert scheduler.fire("s", at("07:00")) == scheduler.fire("s", at("07:00")) == key("07:00")
    assert house.made() == [key("07:00")]
    assert house.decided() == ["07:00 missed", "07:00 by_hand", "08:00 missed"]


def test_by_hand_what_has_fired_already_is_not_done_again(house: House) -> None:
    scheduler = house.start(schedule())
    house.until("07:00")
    scheduler.tick()
    assert scheduler.fire("s", at("07:00")) == key("07:00")
    assert house.decided() == ["07:00 created"]


def test_by_hand_also_a_paused_or_disabled_schedule_fires(house: House) -> None:
    scheduler = house.start(schedule(), schedule("off", is_enabled=False))
    house.store.pause("s")
    assert house.made() == []
    assert [scheduler.fire("s"), scheduler.fire("off")] == house.made()


def test_by_hand_the_future_and_unknown_schedules_are_refused(house: House) -> None:
    scheduler = house.start(schedule())
    with pytest.raises(UsageError, match="has not come yet"):
        scheduler.fire("s", at("07:00"))
    with pytest.raises(NotFound, match="no schedule 'x'"):
        scheduler.fire("x")
    assert house.made() == []


def test_the_history_shows_how_each_run_stands(house: House) -> None:
    scheduler = house.start(schedule(catch_up=CatchUp.LAST))
    house.until("08:10")
    scheduler.tick()
    house.work()
    house.until("09:00")
    scheduler.tick()
    past = house.store.history("s")
    assert [(f"{p.fire.fire_time:%H:%M}", p.fire.decision, p.status) for p in past] == [
        ("09:00", Decision.CREATED, RunStatus.PENDING),
        ("08:00", Decision.CREATED, RunStatus.SUCCEEDED),
        ("07:00", Decision.MISSED, None),
    ]
    assert [p.run_id for p in past] == [2, 1, None]
    assert [p.fire.fire_time for p in house.store.history("s", 1)] == [at("09:00")]
    assert house.store.newest()["s"] == past[0]


def test_the_state_is_not_touched_while_nothing_is_due(house: House) -> None:
    scheduler = house.start(*(schedule(f"s{i}") for i in range(20)))
    house.until("06:30:59")
    house.state.close()
    assert scheduler.tick() == []
    assert scheduler.next_due() == at("07:00")


def statements(house: House, scheduler: Scheduler) -> list[str]:
    """The statements of one tick; a trigger shows the statement that has fired it once more."""
    seen: list[str] = []
    with house.state.transaction() as db:
        db.set_trace_callback(seen.append)
    try:
        scheduler.tick()
    finally:
        with house.state.transaction() as db:
            db.set_trace_callback(None)
    return [statement for statement, _ in groupby(seen)]


@pytest.mark.parametrize("overlap", Overlap)
def test_a_tick_of_many_schedules_makes_no_more_statements_than_one_of_few(
    tmp_path: Path, overlap: Overlap
) -> None:
    made = []
    for count in (2, 200):
        clock = FakeClock(at("06:30"))
        with State.open(tmp_path / f"{count}.db", clock) as state:
            house = House(state, clock)
            scheduler = house.start(*(schedule(f"s{i}", overlap=overlap) for i in range(count)))
            house.until("07:00")
            made.append(len(statements(house, scheduler)))
            assert len(house.made()) == count
    few, many = made
    assert many <= few


def test_each_fire_is_computed_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    made = [schedule(f"s{n}", f"{n} * * * *") for n in range(10)]
    scheduler = house.start(*made)
    compute, computed = expression.first_moment, []

    def first_moment(label: datetime, zone: ZoneInfo) -> datetime | None:
        computed.append(label)
        return compute(label, zone)

    monkeypatch.setattr(expression, "first_moment", first_moment)
    house.until("07:10")
    assert len(scheduler.tick()) == len(made) == len(computed)


def mixed_schedules() -> list[Schedule]:
    """Schedules of all sorts, each with a run kind and a tenant of its own, so that their runs are ranked apart."""
    begun = datetime(2027, 3, 27, 12, tzinfo=UTC)
    sorts = [
        {
            "expression": expression,
            "time_zone": zone,
            "overlap": overlap,
            "catch_up": catch_up,
            "jitter": jitter,
        }
        for (expression, zone), overlap, catch_up, jitter in product(
            (("0 * * * *", "UTC"), ("30 2 * * *", "Europe/Berlin"), ("*/5 * * * *", "Asia/Kathmandu")),
            Overlap,
            CatchUp,
            (timedelta(0), timedelta(minutes=7)),
        )
    ]
    sorts += [
        {"expression": "* * * * *", "catch_up": CatchUp.ALL},
        {"expression": "* * * * *", "catch_up": CatchUp.LAST},
        {"expression": "rate(7 minutes)", "start_at": begun + timedelta(hours=1)},
        {"expression": "0 * * * *", "end_at": begun + timedelta(hours=2)},
        {"expression": "0 * * * *", "is_enabled": False},
    ]
    return [
        schedule(f"s{i}", **{"run": FireRun(kind=f"k{i}", tenant_id=f"t{i}")} | sort)
        for i, sort in enumerate(sorts)
    ]


def rows_of(house: House, position: int) -> list[tuple[object, ...]]:
    """All that the state has of the schedule at this position, but for the numbers of its runs."""
    return [
        tuple(row)[hidden:]
        for hidden, sql in (
            (0, f"SELECT * FROM schedules WHERE schedule_id = 's{position}'"),
            (0, f"SELECT * FROM fires WHERE schedule_id = 's{position}' ORDER BY fire_time, decision"),
            (1, f"SELECT * FROM runs WHERE kind = 'k{position}' ORDER BY run_id"),
            (0, f"SELECT * FROM last_ranks WHERE kind = 'k{position}'"),
        )
        for row in house.state.read(sql)
    ]


def disturb(house: House, position: int, step: int) -> None:
    """Pause and resume every fifth schedule; of three, let the runs of one work, of one end, of one wait."""
    if position % 5 == 1 and step in (2, 11):
        house.store.pause(f"s{position}")
    if position % 5 == 1 and step in (5, 13):
        house.store.resume(f"s{position}")
    if position % 3 < 2 and step % 4 == 3:
        taken = house.runs.claim([f"k{position}"], "w", timedelta(days=9))
        if position % 3:
            house.runs.finish(taken, {run.run_id: Done() for run in taken})


Tick = tuple[list[Fire], datetime | None]


def lived(path: Path, schedules: Mapping[int, Schedule]) -> tuple[list[Tick], list[list[tuple[object, ...]]]]:
    """Days with a clock set forward and back, and a restart: each tick with what comes next; the rows at the end."""
    clock = FakeClock(datetime(2027, 3, 27, 12, 30, tzinfo=UTC))
    minutes = [30, 31, 0, 60, 300, 1, -90, 30, 60, 600, 0, 3, 2000, 0, 0, 60, -3000, 60, 61]
    ticks = []
    with State.open(path, clock) as state:
        house = House(state, clock)
        scheduler = house.start(*schedules.values())
        for step, turned in enumerate(minutes):
            clock.turn(timedelta(minutes=turned, seconds=step))
            for position in schedules:
                disturb(house, position, step)
            scheduler = house.start(*schedules.values()) if step == 15 else scheduler
            ticks.append((scheduler.tick(), scheduler.next_due()))
        return ticks, [rows_of(house, position) for position in schedules]


def test_many_schedules_together_do_what_each_does_alone(tmp_path: Path) -> None:
    schedules = dict(enumerate(mixed_schedules()))
    together, rows = lived(tmp_path / "together.db", schedules)
    alone = [lived(tmp_path / f"{i}.db", {i: schedule}) for i, schedule in schedules.items()]
    assert rows == [own_rows for _, (own_rows,) in alone]
    for (fires, next_due), *apart in zip(together, *(ticks for ticks, _ in alone), strict=True):
        by_schedule = [[fire for fire in fires if fire.schedule_id == f"s{i}"] for i in schedules]
        assert by_schedule == [own_fires for own_fires, _ in apart]
        assert next_due == min(own_due for _, own_due in apart if own_due)
    # Those days had some of everything.
    history = {row[2] for own in rows for row in own if len(row) == 5}
    assert history == {*Decision} - {Decision.BY_HAND}


def test_without_schedules_nothing_comes(house: House) -> None:
    scheduler = house.start()
    assert (scheduler.tick(), scheduler.next_due()) == ([], None)


@pytest.mark.parametrize("catch_up", list(CatchUp))
@pytest.mark.parametrize("days", [1, 3653])
@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_clock_that_was_ahead_holds_nothing_back_and_fires_nothing_twice(
    house: House, catch_up: CatchUp, days: int, is_restarted: bool
) -> None:
    daily = schedule(expression="0 7 * * *", catch_up=catch_up, jitter=timedelta(minutes=10))
    scheduler = house.start(daily)
    house.clock.turn(timedelta(days=days))
    scheduler.tick()
    ahead = house.made()
    house.clock.turn(-timedelta(days=days))
    scheduler = house.start(daily) if is_restarted else scheduler
    house.runs.correct_waits()
    house.until("07:00")
    scheduler.tick()
    house.until("07:00", day=2)
    scheduler.tick()
    made = house.made()
    # What had its run while the clock was ahead has no other; what had none gets it when it comes.
    assert {key("07:00"), key("07:00", day=2)} <= set(made)
    assert len(made) == len(set(made)) == len({*ahead, key("07:00"), key("07:00", day=2)})
    house.until("07:10", day=2)
    house.work()
    assert {run.status for run in house.all_runs()} == {RunStatus.SUCCEEDED}
