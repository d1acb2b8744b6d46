"""Killed at any fault point and started again, each run has one execution in AMC, and its result is there once."""

from __future__ import annotations

import csv
import io
import json
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from amci.app.session import Session, open_session
from amci.cli.app import app
from amci.kernel.clock import timestamp
from amci.kernel.errors import AmciError
from amci.kernel.runs import MOST_EXPIRIES
from amci.workflows.amc.model import ExecutionRequest
from amci.workflows.executions.cancel import cancel
from amci.workflows.executions.run_factory import execute_run

from .test_kill import every, spread

pytestmark = pytest.mark.crash

SQL = "SELECT campaign, SUM(impressions) AS impressions FROM dsp_impressions GROUP BY 1"
AD_HOC = "SELECT ad_product_type AS campaign, SUM(impressions) AS impressions FROM sponsored_ads_traffic GROUP BY 1"
#: Nobody waits long for the sandbox.
AT_ONCE = "poll_first: 20ms, poll_longest: 200ms, adopt_within: 100ms"
#: Executions that last, so that there is something to cancel; `drain` leaves what waits for longer than 30 s.
LASTING = "poll_first: 1m, adopt_within: 100ms, sandbox: {running: 1h}"
#: The short form tries so many points of a scenario beside the first of each name.
SPREAD = 1


def prepared(site: Any, few: Path, *, amc: str = AT_ONCE) -> None:
    """Two tenants, two workflows, and few events."""
    site.settings(f"amc: {{mode: sandbox, {amc}}}\n")
    for name, slots in (("acme", 2), ("bolt", 10)):
        ids = (
            f"instance_id: amc{name}001\nadvertiser_id: ENTITY{name.upper()}\nmarketplace_id: ATVPDKIKX0DER\n"
        )
        site.configure(f"tenants/{name}.yaml", f"tenant: {name}\nslots: {slots}\n{ids}")
    for name in ("reach", "shown"):
        window = "window: {type: EXPLICIT, start: TODAY(-5), end: TODAY(-2)}\n"
        site.configure(f"workflows/{name}.yaml", f"sql: {SQL}\n{window}")
    shutil.copytree(few, site.workspace.sandbox)


def asked(opened: Session, tenant: str, workflow: str, key: str, **more: Any) -> int:
    """A run for an execution; its id."""
    window = opened.project.workflows["reach"].time_window
    request = ExecutionRequest(workflow_id=workflow, window=window, **more)
    opened.runs.create([execute_run(opened.project.tenants[tenant], request, key=key, at=opened.clock.now())])
    return opened.runs.by_keys([key])[0].run_id


def scheduled(site: Any) -> None:
    """A schedule whose two fires have come while nothing was running, and that will not fire again."""
    hour = timedelta(hours=1)
    first: datetime = site.clock.now() - 3 * hour
    site.configure(
        "schedules/nightly.yaml",
        "schedule: nightly\nworkflow: reach\ntenants: [bolt]\nexpression: rate(1 hour)\ncatch_up: all\n"
        f"start: {timestamp(first)}\nend: {timestamp(first + 2 * hour)}\n",
    )
    site.clock.turn(-4 * hour)
    with open_session(site.workspace, site.clock, {}) as opened:
        opened.schedules.sync(opened.project.schedules.values())
    site.clock.turn(4 * hour)


def in_amc(site: Any, sql: str) -> list[tuple[Any, ...]]:
    """Rows of the sandbox's own file."""
    with closing(sqlite3.connect(site.workspace.sandbox / "sandbox.db")) as db:
        return db.execute(sql).fetchall()


def told(site: Any, *arguments: str) -> str:
    """What the command printed; it runs in this process, for it is not the one that is killed."""
    done = CliRunner().invoke(app, [*arguments, "--home", str(site.workspace.home)], catch_exceptions=False)
    assert done.exit_code == 0, f"{site.workspace.home.name}: {done.output}"
    return done.stdout


def copied(site_of: Callable[[Path], Any], source: Path, to: Path) -> Any:
    shutil.copytree(source, to, symlinks=True)
    return site_of(to)


@dataclass(frozen=True)
class Scenario:
    """A workspace before the command that is killed, and the fault points this passes."""

    before: Path
    command: str
    points: list[str]

    @classmethod
    def of(cls, site: Any, command: str, amci: Any, site_of: Any) -> Scenario:
        folder = site.workspace.home.parent
        counted = copied(site_of, site.workspace.home, folder / "counted")
        code, said = amci(command, "--home", str(counted.workspace.home), fault=f"count:{folder / 'points'}")
        assert code == 0, said
        return cls(site.workspace.home, command, (folder / "points").read_text(encoding="utf-8").split())

    def chosen(self, config: pytest.Config) -> list[int]:
        """Numbers of the fault points to try, counted from 1."""
        if long := every(config, len(self.points)):
            return long
        firsts = {self.points.index(name) + 1 for name in self.points}
        return sorted(firsts | {1 + len(self.points) * (2 * i + 1) // (2 * SPREAD) for i in range(SPREAD)})

    def killed(self, numbers: Sequence[int], *, amci: Any, site_of: Any, under: Path) -> Iterator[Any]:
        """For each number, a copy of the workspace, named like the point, in which the command was killed there.

        How often a thread looks in vain differs from time to time, so a late point may not be reached.
        """
        kills = 0
        for number in numbers:
            site = copied(site_of, self.before, under / f"{number}-{self.points[number - 1]}")
            code, said = amci(self.command, "--home", str(site.workspace.home), fault=f"kill:{number}")
            assert code in (0, -signal.SIGKILL), f"point {number}: {code} {said}"
            kills += code == -signal.SIGKILL
            yield site
            shutil.rmtree(site.workspace.home)
        assert kills > len(numbers) / 2


def assert_nothing_is_open(site: Any) -> None:
    name = site.workspace.home.name
    undone = site.state("SELECT idempotency_key, status, reason FROM runs WHERE status <> 'SUCCEEDED'")
    assert undone == [], f"{name}: {undone}"
    assert site.state("SELECT idempotency_key FROM runs WHERE holds_slot") == []
    assert site.quarantined() == {}


def assert_each_result_is_there_once(site: Any) -> None:
    """One execution in AMC for each run, one result in raw/, and its rows once in the lake."""
    runs = site.runs(kind="execute")
    ids = [run.result["workflow_execution_id"] for run in runs]
    made = dict(in_amc(site, "SELECT workflow_execution_id, result_id FROM executions"))
    name = site.workspace.home.name
    assert sorted(ids) == sorted(made), f"{name}: an execution without a run, or a run without one"
    assert site.state("SELECT run_id, attempt, status FROM executions ORDER BY 1") == [
        (run.run_id, 1, "SUCCEEDED") for run in runs
    ]
    files = [path for path in site.raw.rglob("*.csv") if not path.name.startswith(".")]
    assert sorted(str(path.relative_to(site.raw)) for path in files) == sorted(
        run.result["key"] for run in runs
    )
    objects = site.query(
        "SELECT workflow_execution_id, object_id, version, schema_name || '.' || table_name, rows"
        " FROM amci.objects"
    )
    assert sorted(workflow_execution_id for workflow_execution_id, *_ in objects) == sorted(ids)
    results = dict(in_amc(site, "SELECT result_id, content FROM results"))
    for workflow_execution_id, object_id, version, table, rows in objects:
        found = site.query(
            f"SELECT campaign, CAST(impressions AS VARCHAR) FROM {table} WHERE _object_id = {object_id} ORDER BY ALL"
        )
        content = results[made[workflow_execution_id]].decode()
        _, *wanted = map(tuple, csv.reader(io.StringIO(content)))
        assert (version, len(found), found) == (1, rows, sorted(wanted)), f"{name}: {table}"
        assert wanted


def assert_fired_once(site: Any) -> None:
    fires = site.state("SELECT decision, idempotency_key FROM fires ORDER BY fire_time")
    runs = [run.idempotency_key for run in site.runs(kind="execute")]
    assert [decision for decision, _ in fires] == ["created", "created"]
    assert [key for _, key in fires] == [key for key in runs if key.startswith("fire:nightly@")]
    assert len(runs) == 7


@pytest.fixture(scope="session")
def drain(amci: Any, few: Path, site_of: Any, tmp_path_factory: pytest.TempPathFactory) -> Scenario:
    """Two equal requests, one equal to an older execution too, ad-hoc SQL, another tenant's, and two fires."""
    site = site_of(tmp_path_factory.mktemp("drain") / "before")
    prepared(site, few)
    told(site, "apply")
    with open_session(site.workspace, site.clock, {}) as opened:
        asked(opened, "acme", "reach", "exec:older")
    told(site, "drain")
    with open_session(site.workspace, site.clock, {}) as opened:
        asked(opened, "acme", "reach", "exec:first")
        asked(opened, "acme", "reach", "exec:equal")
        asked(opened, "acme", "look", "exec:ad-hoc", sql_query=AD_HOC)
        asked(opened, "bolt", "shown", "exec:other")
    scheduled(site)
    return Scenario.of(site, "drain", amci, site_of)


@pytest.mark.parametrize("share", range(2))
def test_a_killed_drain_makes_each_execution_once(
    drain: Scenario,
    share: int,
    *,
    amci: Any,
    site_of: Any,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    wanted = {"before_post", "after_post", "recorded", "before_download", "downloaded", "delivered"}
    assert {f"execute.{name}" for name in wanted} <= set(drain.points)
    points = drain.chosen(request.config)[share :: 2 if every(request.config, 1) else 4]
    for site in drain.killed(points, amci=amci, site_of=site_of, under=tmp_path):
        told(site, "drain")
        assert_nothing_is_open(site)
        assert_each_result_is_there_once(site)
        assert_fired_once(site)


def test_a_drain_killed_again_and_again_makes_each_execution_once(
    drain: Scenario, amci: Any, site_of: Any, tmp_path: Path
) -> None:
    site = copied(site_of, drain.before, tmp_path / "site")
    for number in (40, 50, 60, 70):
        code, said = amci("drain", "--home", str(site.workspace.home), fault=f"kill:{number}")
        assert code == -signal.SIGKILL, said
    told(site, "drain")
    assert_nothing_is_open(site)
    assert_each_result_is_there_once(site)
    assert_fired_once(site)


@pytest.fixture(scope="session")
def apply(amci: Any, few: Path, site_of: Any, tmp_path_factory: pytest.TempPathFactory) -> Scenario:
    """A workspace that was never applied."""
    site = site_of(tmp_path_factory.mktemp("apply") / "before")
    prepared(site, few)
    return Scenario.of(site, "apply", amci, site_of)


def test_a_killed_apply_leaves_nothing_half_done_once_it_is_repeated(
    apply: Scenario, amci: Any, site_of: Any, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    points = apply.chosen(request.config)
    for site in apply.killed(points, amci=amci, site_of=site_of, under=tmp_path):
        told(site, "apply")
        assert json.loads(told(site, "plan", "--json")) == []
        # Where nothing was left to apply, the run that died waits for whoever works next.
        told(site, "drain")
        assert_nothing_is_open(site)
        assert in_amc(site, "SELECT instance_id, workflow_id FROM workflows ORDER BY 1, 2") == [
            (f"amc{tenant}001", workflow) for tenant in ("acme", "bolt") for workflow in ("reach", "shown")
        ]


@pytest.mark.parametrize("reads", [False, True], ids=["writes", "reads"])
def test_an_apply_that_the_disk_refused_is_finished_by_the_next(
    apply: Scenario,
    *,
    reads: bool,
    refusing: Any,
    site_of: Any,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    """What it writes and reads of state, configuration and of the sandbox that stands for AMC."""
    counted = copied(site_of, apply.before, tmp_path / "counted")
    *_, calls = refusing(counted.workspace.home, 0, "apply", reads=reads)
    wrong = []
    for number in every(request.config, len(calls)) or sorted(spread(len(calls), SPREAD)):
        site = copied(site_of, apply.before, tmp_path / f"{number}")
        _, said, _ = refusing(site.workspace.home, number, "apply", reads=reads)
        try:
            assert "bug in amci" not in said
            told(site, "apply")
            assert json.loads(told(site, "plan", "--json")) == []
            if site.state("SELECT 1 FROM runs WHERE status = 'FAILED'"):
                told(site, "redrive", "--failed")
            told(site, "drain")
            assert_nothing_is_open(site)
            assert in_amc(site, "SELECT instance_id, workflow_id FROM workflows ORDER BY 1, 2") == [
                (f"amc{tenant}001", workflow)
                for tenant in ("acme", "bolt")
                for workflow in ("reach", "shown")
            ]
        except (AssertionError, AmciError) as error:
            wrong.append(f"call {number} ({calls[number - 1]}): {said}then: {error}")
        sys.stdout.write(f"apply {number} of {len(calls)}, wrong: {len(wrong)} {wrong[-1:]}\n")
        shutil.rmtree(site.workspace.home)
    assert not wrong, "\n".join(wrong)


def killed(amci: Any, site: Any, name: str) -> None:
    """Drain, and be killed at the first fault point of this name."""
    code, said = amci("drain", "--home", str(site.workspace.home), fault=f"kill:{name}")
    assert code == -signal.SIGKILL, said


@pytest.fixture(scope="session")
def cancelled(amci: Any, few: Path, site_of: Any, tmp_path_factory: pytest.TempPathFactory) -> Scenario:
    """Three equal executions in AMC, one of them unknown here; that one and another are to be cancelled."""
    site = site_of(tmp_path_factory.mktemp("cancel") / "before")
    prepared(site, few, amc=LASTING)
    told(site, "apply")
    with open_session(site.workspace, site.clock, {}) as opened:
        asked(opened, "bolt", "reach", "exec:stays")
    told(site, "drain")
    with open_session(site.workspace, site.clock, {}) as opened:
        known = asked(opened, "bolt", "reach", "exec:known")
    told(site, "drain")
    with open_session(site.workspace, site.clock, {}) as opened:
        unknown = asked(opened, "bolt", "reach", "exec:unknown")
    killed(amci, site, "execute.after_post")
    with open_session(site.workspace, site.clock, {}) as opened:
        assert opened.executions.of_run(unknown)[0].workflow_execution_id is None
        for run_id in (known, unknown):
            assert len(cancel(opened.runs, opened.executions, run_id)) == 1
    assert in_amc(site, "SELECT status FROM executions") == [("RUNNING",)] * 2 + [("PENDING",)]
    return Scenario.of(site, "drain", amci, site_of)


def test_a_killed_cancelling_cancels_what_was_meant_and_nothing_else(
    cancelled: Scenario, amci: Any, site_of: Any, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    points = cancelled.chosen(request.config)
    if not every(request.config, 1):
        points = points[::2]
    for site in cancelled.killed(points, amci=amci, site_of=site_of, under=tmp_path):
        told(site, "drain")
        assert dict(site.state("SELECT idempotency_key, status FROM runs WHERE kind = 'execute'")) == {
            "exec:stays": "PENDING",
            "exec:known": "CANCELLED",
            "exec:unknown": "CANCELLED",
        }
        assert site.state("SELECT status, count(*) FROM runs WHERE kind = 'cancel' GROUP BY 1") == [
            ("SUCCEEDED", 2)
        ]
        assert site.state("SELECT idempotency_key FROM runs WHERE holds_slot") == [("exec:stays",)]
        ours = dict(site.state("SELECT workflow_execution_id, status FROM executions"))
        theirs = dict(in_amc(site, "SELECT workflow_execution_id, status FROM executions"))
        assert sorted(theirs.values()) == ["CANCELLED", "CANCELLED", "RUNNING"]
        # The one that stays is not looked at again yet.
        assert {i for i in ours if ours[i] == "CANCELLED"} == {i for i in theirs if theirs[i] == "CANCELLED"}
        assert ours.keys() == theirs.keys()


def test_a_run_that_died_too_often_gives_its_slot_back_and_is_taken_up_where_it_was(
    site: Any, few: Path, amci: Any
) -> None:
    prepared(site, few)
    told(site, "apply")
    with open_session(site.workspace, site.clock, {}) as opened:
        asked(opened, "acme", "reach", "exec:doomed")
    killed(amci, site, "execute.after_post")
    for _ in range(MOST_EXPIRIES - 1):
        killed(amci, site, "execute.before_download")
    assert site.drain().tally.failed == 0
    [run] = site.runs(kind="execute")
    assert (run.status, "abandoned" in run.reason) == ("FAILED", True)
    assert site.state("SELECT idempotency_key FROM runs WHERE holds_slot") == []
    told(site, "redrive", "--failed")
    assert_nothing_is_open(site)
    assert_each_result_is_there_once(site)
