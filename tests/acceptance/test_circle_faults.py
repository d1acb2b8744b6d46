"""Whatever goes wrong with AMC during a whole run ends in a defined way, with one execution for each request."""

from __future__ import annotations

import json
import random
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from typer.testing import CliRunner

from amci.app.engine import Engine
from amci.cli.app import app
from amci.kernel.run import Run, RunStatus
from amci.kernel.testing import TurnableClock
from amci.sandbox.data.world import World
from amci.sandbox.faults import InjectedFault
from amci.sandbox.options import SandboxOptions
from amci.sandbox.service import Sandbox
from amci.workflows.amc.model import ExecutionRequest
from amci.workflows.definitions.run_factory import Action, workflow_run
from amci.workflows.executions.run_factory import EXECUTE, execute_run

SQL = "SELECT campaign, SUM(impressions) AS impressions FROM dsp_impressions GROUP BY 1"
SETTINGS = (
    "amc: {mode: sandbox, attempts: 2, poll_first: 1m, poll_longest: 5m, adopt_within: 2m, deadline: 30m,"
    " breaker_failures: 4, breaker_pause: 3m}\n"
)
ROUNDS = 100  # after which a run that does not end is given up
EXECUTIONS = "*/workflowExecutions*"
OF_ACME = "*/amcacme001/*"


class Hasty(TurnableClock):
    """The clock of this machine, on which waiting is over before it is done.

    It is not turned by whoever waits for work that is going on: on a slow machine that would be hours.
    """

    def __init__(self) -> None:
        super().__init__()
        self.is_busy: Callable[[], object] = lambda: False  #: whether runs are being handled

    def wait(self, event: Event, pause: timedelta) -> bool:
        instant = min(pause, timedelta(milliseconds=4))
        is_over = super().wait(event, instant)
        # Handlers wait in threads of their own, the worker that has them in the main one.
        waits_for_work = threading.current_thread() is threading.main_thread() and self.is_busy()
        if not is_over and not waits_for_work:
            self.turn(pause - instant)
        return event.is_set()


class Circle:
    """A workspace with two tenants and one workflow, its engine, and the sandbox inside."""

    def __init__(self, site: Any, engine: Engine) -> None:
        self.site = site
        self.engine = engine
        self.clock: TurnableClock = site.clock
        self._asked = 0

    @property
    def sandbox(self) -> Sandbox:
        found: Sandbox = self.engine.session.connections._transport._respond.__self__  # type: ignore[union-attr]
        return found

    def fault(self, kind: Any, method: str = "*", path: str = EXECUTIONS, **more: Any) -> None:
        self.sandbox.faults.add(InjectedFault(kind, method, path, **more))

    def ask(self, tenant: str = "acme", count: int = 1, **more: Any) -> None:
        """Runs for executions, equal but for `more`."""
        project = self.engine.project
        request = ExecutionRequest(workflow_id="reach", window=project.workflows["reach"].time_window, **more)
        for _ in range(count):
            self._asked += 1
            run = execute_run(
                project.tenants[tenant], request, key=f"exec:{self._asked}", at=self.clock.now()
            )
            self.engine.runs.create([run])

    def drain(self) -> None:
        self.engine.drain(Event())

    def finish(self) -> None:
        """Let time pass until nothing waits any more."""
        for _ in range(ROUNDS):
            self.drain()
            now = self.clock.now()
            due = self.engine.runs.next_due([EXECUTE, "cancel"], now)
            if due is None:
                return
            self.clock.turn(due - now)
        pytest.fail(f"still open: {[(run.status, run.reason) for run in self.runs()]}")

    def runs(self) -> list[Run]:
        return list(self.engine.runs.list(kind=EXECUTE, limit=-1))[::-1]

    def run(self) -> Run:
        [run] = self.runs()
        return run

    def in_amc(self) -> list[str]:
        """The statuses of all executions AMC has."""
        with closing(sqlite3.connect(self.site.workspace.sandbox / "sandbox.db")) as db:
            return [status for (status,) in db.execute("SELECT status FROM executions ORDER BY seq")]

    def posts(self) -> int:
        """How often an execution was asked for."""
        return sum(
            count
            for route, count in self.sandbox.requests.items()
            if route.startswith("POST ") and route.endswith("/workflowExecutions")
        )

    def circuits(self) -> str:
        """What `amci status` says of them."""
        done = CliRunner().invoke(
            app, ["status", "--json", "--home", str(self.site.workspace.home)], catch_exceptions=False
        )
        found: str = json.loads(done.stdout)["circuits_open"]
        return found

    def assert_each_result_is_there_once(self) -> None:
        """Every run succeeded with an execution of its own, and the rows of each are once in the lake."""
        runs = self.runs()
        assert {run.status for run in runs} == {"SUCCEEDED"}, "".join(
            f"\n{run.run_id} {run.status} {run.reason}" for run in runs
        )
        assert self.in_amc() == ["SUCCEEDED"] * len(runs)
        loaded = self.engine.catalog.con.execute(
            "SELECT workflow_execution_id, rows FROM lake.amci.objects"
        ).fetchall()
        results = [(run.result or {})["workflow_execution_id"] for run in runs]
        assert sorted(workflow_execution_id for workflow_execution_id, _ in loaded) == sorted(results)
        assert len(set(results)) == len(results)
        assert all(rows for _, rows in loaded)
        for table in self.site.tables():
            counts = self.site.query(f"SELECT count(*) FROM {table} GROUP BY _object_id")
            assert set(counts) == {(loaded[0][1],)}
        assert self.site.state("SELECT run_id FROM runs WHERE holds_slot OR status = 'FAILED'") == []


@pytest.fixture
def circle(site: Any, events: Path) -> Iterator[Circle]:
    site.clock = Hasty()
    site.settings(SETTINGS)
    for name in ("acme", "bolt"):
        ids = (
            f"instance_id: amc{name}001\nadvertiser_id: ENTITY{name.upper()}\nmarketplace_id: ATVPDKIKX0DER\n"
        )
        site.configure(f"tenants/{name}.yaml", f"tenant: {name}\n{ids}")
    window = "window: {type: EXPLICIT, start: TODAY(-5), end: TODAY(-2)}\n"
    site.configure("workflows/reach.yaml", f"sql: {SQL}\n{window}")
    site.workspace.sandbox.mkdir()
    (site.workspace.sandbox / "events").symlink_to(events)
    with opened(site) as circle:
        project, runs = circle.engine.project, circle.engine.runs
        runs.create(
            workflow_run(Action.CREATE, tenant, project.workflows["reach"])
            for tenant in project.tenants.values()
        )
        circle.drain()
        assert {run.status for run in runs.list()} == {"SUCCEEDED"}
        yield circle


@contextmanager
def opened(site: Any) -> Iterator[Circle]:
    with site.engine() as engine:
        site.clock.is_busy = lambda: engine.runs.list(status=RunStatus.RUNNING, limit=1)
        yield Circle(site, engine)
        site.clock.is_busy = lambda: False


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Few events, where the sandbox looks for its usual ones: it starts quickly then."""
    folder, usual = tmp_path_factory.mktemp("events"), SandboxOptions()
    few = World(directory=folder, seed=usual.seed, scale=0.003, days=8)
    # The clocks of the tests run ahead.
    few.prepare((TurnableClock().now() + timedelta(days=1)).date())
    few.folder.rename(World(directory=folder, seed=usual.seed, scale=usual.scale, days=usual.days).folder)
    return folder / "events"


@pytest.mark.spread(4)
@pytest.mark.parametrize(
    ("fault", "posts"),
    [
        ({}, 1),
        ({"kind": "throttle", "method": "POST", "retry_after": 90}, 2),
        ({"kind": "throttle", "method": "GET", "times": 5, "retry_after": 90}, 1),
        ({"kind": "error", "method": "POST", "status": 503, "times": 2}, 3),
        ({"kind": "error", "method": "GET", "status": 503, "times": 7}, 1),
        ({"kind": "no_answer_after", "method": "POST"}, 1),
        ({"kind": "no_answer_after", "method": "GET", "times": 3}, 1),
        ({"kind": "no_answer_after", "method": "GET", "path": "/results/*", "times": 3}, 1),
        ({"kind": "no_connection", "method": "POST", "times": 3}, 4),
        ({"kind": "no_connection", "method": "GET", "times": 7}, 1),
        ({"kind": "expired_token", "method": "POST"}, 2),
        ({"kind": "expired_token", "method": "GET"}, 1),
        ({"kind": "error", "method": "POST", "path": "/auth/o2/token", "status": 503, "times": 4}, None),
        ({"kind": "empty_body", "method": "POST"}, 1),
        ({"kind": "empty_body", "method": "GET", "times": 5}, 1),
        ({"kind": "empty_body", "method": "GET", "path": "*/downloadUrls", "times": 3}, 1),
        ({"kind": "empty_body", "method": "GET", "path": "/results/*", "times": 3}, 1),
        ({"kind": "slow_links", "method": "GET", "path": "*/downloadUrls", "times": 3}, 1),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_what_goes_wrong_for_a_while_delays_the_result_and_doubles_nothing(
    circle: Circle, fault: dict[str, Any], posts: int | None
) -> None:
    if fault:
        circle.fault(**fault)
    circle.clock.turn(timedelta(hours=2))  # the login of the preparation is no longer good
    circle.ask()
    circle.finish()
    circle.assert_each_result_is_there_once()
    assert circle.sandbox.faults.listed() == []
    assert posts in (None, circle.posts())


def test_a_list_that_changes_between_two_pages_hides_and_doubles_nothing(circle: Circle) -> None:
    circle.fault("changed_page", "GET", "*/workflowExecutions", times=4)
    circle.fault("no_answer_after", "POST", times=2)
    circle.ask(count=4)
    circle.finish()
    circle.assert_each_result_is_there_once()
    assert circle.posts() == 4


def test_what_stays_pending_is_cancelled_in_amc_at_its_deadline(circle: Circle) -> None:
    circle.fault("stuck_pending", "POST")
    circle.ask()
    began = circle.clock.now()
    circle.finish()
    assert circle.run().status == "FAILED"
    reason = str(circle.run().reason)
    assert "AMC kept it PENDING for 30 min, and was cancelled" in reason
    assert "nothing is wrong with the workflow" in reason
    assert timedelta(minutes=30) <= circle.run().changed_at - began < timedelta(minutes=40)
    assert circle.in_amc() == ["CANCELLED"]
    assert circle.site.state("SELECT run_id FROM runs WHERE holds_slot") == []
    # Its slot is free, and the next one is not held up by it.
    circle.ask()
    circle.finish()
    assert [run.status for run in circle.runs()] == ["FAILED", "SUCCEEDED"]
    assert circle.in_amc() == ["CANCELLED", "SUCCEEDED"]


def test_links_that_are_never_good_fail_the_run_and_a_redrive_fetches_the_result(circle: Circle) -> None:
    circle.fault("slow_links", "GET", "*/downloadUrls", times=0)
    circle.ask()
    circle.finish()
    assert circle.run().status == "FAILED"
    assert "the download links had expired" in str(circle.run().reason)
    assert "fix the workflow" not in str(circle.run().reason)
    assert circle.in_amc() == ["SUCCEEDED"]
    assert circle.site.tables() == []
    circle.sandbox.faults.clear()
    circle.engine.redrive([circle.run().run_id])
    circle.finish()
    assert circle.run().status == "SUCCEEDED"
    assert circle.in_amc() == ["SUCCEEDED"]
    assert len(circle.site.ledger()) == 1


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ({"kind": "expired_token", "method": "POST", "times": 0}, "does not accept this login"),
        ({"kind": "error", "method": "POST", "status": 400, "times": 0}, "Internal server error"),
    ],
    ids=["login", "refusal"],
)
def test_what_only_a_person_can_mend_fails_at_once_and_leaves_nothing_in_amc(
    circle: Circle, fault: dict[str, Any], says: str
) -> None:
    circle.fault(**fault)
    circle.ask()
    circle.drain()
    assert circle.run().status == "FAILED"
    assert says in str(circle.run().reason)
    assert circle.in_amc() == []
    circle.sandbox.faults.clear()
    circle.engine.redrive([circle.run().run_id])
    circle.finish()
    circle.assert_each_result_is_there_once()


def test_amc_out_of_reach_for_ever_is_given_up_and_goes_on_after_a_redrive(circle: Circle) -> None:
    circle.ask()
    circle.fault("no_connection", "GET", times=0)
    circle.finish()
    assert circle.run().status == "FAILED"
    assert "could not be asked in time" in str(circle.run().reason)
    circle.sandbox.faults.clear()
    circle.engine.redrive([circle.run().run_id])
    circle.clock.turn(timedelta(hours=1))
    circle.finish()
    circle.assert_each_result_is_there_once()
    assert circle.posts() == 1


def test_a_circuit_opens_for_one_tenant_alone_and_closes_again(circle: Circle) -> None:
    circle.fault("error", "*", OF_ACME, status=503, times=0)
    assert circle.circuits() == ""
    circle.ask("acme", 5, sql_query=SQL)
    circle.drain()
    assert circle.circuits() == "amcacme001"
    asked = sum(circle.sandbox.requests.values())
    circle.drain()
    assert sum(circle.sandbox.requests.values()) == asked, "asked while the circuit is open"
    circle.ask("bolt")
    for _ in range(4):
        circle.clock.turn(timedelta(minutes=1))
        circle.drain()
    assert {(run.tenant_id, run.status) for run in circle.runs()} == {
        ("acme", "PENDING"),
        ("bolt", "SUCCEEDED"),
    }
    assert circle.circuits() == "amcacme001", "tried once more in between"
    circle.sandbox.faults.clear()
    circle.finish()
    assert circle.circuits() == ""
    circle.assert_each_result_is_there_once()


@pytest.mark.spread(2)
@pytest.mark.parametrize("seed", [1, 2])
def test_anything_at_any_time_ends_with_each_result_once(circle: Circle, seed: int) -> None:
    """Faults by chance, on requests by chance, while equal executions of two tenants are in line."""
    chance = random.Random(seed)  # noqa: S311 - which faults come, not a secret
    kinds = ["throttle", "error", "no_answer_after", "no_connection", "empty_body", "slow_links"]
    # A login that is refused twice in a row is for a person.
    circle.fault("expired_token", after=chance.randint(0, 9))
    circle.fault("changed_page", "GET", "*/workflowExecutions", times=3)
    for _ in range(12):
        circle.fault(
            chance.choice(kinds),
            chance.choice(["POST", "GET", "*"]),
            chance.choice([EXECUTIONS, EXECUTIONS, "*", "*/downloadUrls", "/results/*", "/auth/*"]),
            times=chance.randint(1, 3),
            after=chance.randint(0, 4),
            status=chance.choice([500, 502, 503, 504]),
            retry_after=chance.choice([1, 60, 200]),
        )
    circle.ask("acme", 3)
    circle.ask("bolt", 2)
    circle.ask("acme", sql_query=SQL)
    circle.finish()
    circle.assert_each_result_is_there_once()
