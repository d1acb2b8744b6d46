"""Tenants, workflows, schedules and the lake together, on the sandbox inside the process."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from logging.handlers import QueueHandler
from pathlib import Path
from typing import Any

import pytest

from amci.app import plan
from amci.app.engine import Engine
from amci.app.plan import Change, differences, runs_for
from amci.app.session import open_session
from amci.kernel.run import NewRun, Run, RunStatus
from amci.kernel.runs import RunStore
from amci.lake.query.session import session
from amci.lake.upkeep import check, tasks
from amci.workflows.amc.model import ExecutionRequest, TimeWindow, WindowType
from amci.workflows.executions.run_factory import execute_run
from amci.workflows.provisioning.provision import provision_run

LIMIT = 120.0  # seconds until a test that waits for a thread gives up
REACH = "SELECT campaign, SUM(impressions) AS impressions FROM dsp_impressions GROUP BY 1"
TENANT = "tenant: acme\ninstance_id: amcacme001\nadvertiser_id: ENTITYACME\nmarketplace_id: ATVPDKIKX0DER\n"
SANDBOX = "amc: {mode: sandbox, poll_first: 0s, poll_longest: 0s, adopt_within: 0s}\n"
TABLE = "adtech_amc.acme_reach_adhoc"


@pytest.fixture
def amc(site: Any, shared_events: Path) -> Any:
    """A workspace on the sandbox, with tenant acme and workflow reach."""
    site.settings(SANDBOX)
    site.workspace.sandbox.mkdir()
    (site.workspace.sandbox / "events").symlink_to(shared_events)
    site.configure("tenants/acme.yaml", TENANT)
    site.configure("workflows/reach.sql", REACH)
    return site


def apply(engine: Engine, *, prune: bool = False) -> list[tuple[str, RunStatus]]:
    """What `amci apply` does."""
    opened = engine.session
    runs = plan.apply(opened, differences(opened), prune=prune, check=False)
    engine.finish([run.idempotency_key for run in runs], threading.Event())
    return [(run.kind, run.status) for run in engine.runs.by_keys(run.idempotency_key for run in runs)]


def ask(engine: Engine, key: str = "k1", **more: Any) -> None:
    """Execute workflow reach and load what comes."""
    window = TimeWindow(type=WindowType.EXPLICIT, start="TODAY(-9)", end="TODAY(-2)")
    request = ExecutionRequest(workflow_id="reach", window=window, **more)
    tenant = engine.project.tenants["acme"]
    engine.runs.create([execute_run(tenant, request, key=key, at=engine.clock.now())])
    engine.finish([key], threading.Event())


@contextmanager
def up(engine: Engine) -> Iterator[Callable[[str], Run]]:
    """`amci up` in a thread, until the block ends; what it yields waits for the next run of a kind to succeed."""
    stop = threading.Event()
    handled: queue.Queue[Run] = queue.Queue()
    thread = threading.Thread(target=engine.up, args=(stop, handled.put))

    def succeeded(kind: str) -> Run:
        while True:
            run = handled.get(timeout=LIMIT)
            if run.kind == kind and run.status is RunStatus.SUCCEEDED:
                return run

    thread.start()
    try:
        yield succeeded
    finally:
        stop.set()
        thread.join(LIMIT)
    assert not thread.is_alive()


@contextmanager
def logged(name: str) -> Iterator[Callable[[str], None]]:
    """What it yields waits until the logger of this name has said so."""
    lines: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    logger, handler = logging.getLogger(name), QueueHandler(lines)
    logger.addHandler(handler)

    def says(words: str) -> None:
        while words not in lines.get(timeout=LIMIT).getMessage():
            pass

    try:
        yield says
    finally:
        logger.removeHandler(handler)


def test_an_execution_brings_its_rows_and_where_they_come_from(amc: Any) -> None:
    with amc.engine() as engine:
        assert apply(engine) == [("provision", RunStatus.SUCCEEDED), ("workflow", RunStatus.SUCCEEDED)]
        ask(engine)
        (run,) = engine.runs.by_keys(["k1"])
        execution_id = run.result["workflow_execution_id"]
    assert amc.query(f"SELECT count(*) > 0 FROM {TABLE}") == [(True,)]
    ((key, found, days, sql_hash),) = amc.query(
        "SELECT key, workflow_execution_id, date_diff('day', time_window_start, time_window_end), sql_hash"
        " FROM amci.objects"
    )
    assert key.startswith("acme/workflow=reach/schedule=adhoc/")
    assert (found, days, len(sql_hash)) == (execution_id, 7, 64)
    # The story of the run leads from the request to the table.
    with amc.engine() as engine:
        assert [r.kind for r in engine.runs.story(run.run_id)] == ["execute", "light", "heavy"]


def test_config_and_amc_are_compared_and_made_equal(amc: Any) -> None:
    with amc.engine() as engine:
        apply(engine)
        assert differences(engine.session) == []
    amc.configure(
        "workflows/reach.sql", REACH.replace("campaign,", "campaign, campaign_id,").replace(" 1", " 1, 2")
    )
    amc.configure("workflows/clicks.sql", "SELECT SUM(clicks) AS clicks FROM dsp_clicks")
    with amc.engine() as engine:
        found = {(d.change, d.name) for d in differences(engine.session)}
        assert found == {(Change.UPDATE, "reach"), (Change.CREATE, "clicks")}
        apply(engine)
    (amc.workspace.config / "workflows/reach.sql").unlink()
    with amc.engine() as engine:
        assert [(d.change, d.name) for d in differences(engine.session)] == [(Change.DELETE, "reach")]
        assert apply(engine) == []
        assert apply(engine, prune=True) == [("workflow", RunStatus.SUCCEEDED)]
        assert differences(engine.session) == []


def test_what_is_declared_again_is_not_pruned_late(amc: Any) -> None:
    with amc.engine() as engine:
        apply(engine)
    (amc.workspace.config / "workflows/reach.sql").unlink()
    with amc.engine() as engine:
        # As where `apply --prune` is killed before its run is done.
        engine.runs.create(runs_for(engine.session, differences(engine.session), prune=True))
    amc.configure("workflows/reach.sql", REACH)
    with amc.engine() as engine:
        engine.work(threading.Event())
        (run,) = [r for r in engine.runs.list(kind="workflow") if r.payload["action"] == "delete"]
        assert (run.status, run.reason) == (RunStatus.SKIPPED, "config/ has it again")
        assert differences(engine.session) == []


def test_a_plan_says_whom_it_could_not_ask_and_goes_on_with_the_others(amc: Any) -> None:
    amc.configure("tenants/zoo.yaml", TENANT.replace("acme", "zoo").replace("amczoo001", "amczoo0001"))
    with amc.engine() as engine:
        engine.session.connections.client(engine.project.tenants["acme"])
        sandbox = amc.workspace.sandbox
        assert apply(engine)
        assert (sandbox / "sandbox.db").is_file()
    amc.settings(
        SANDBOX.replace("mode: sandbox", "mode: sandbox, attempts: 1, sandbox: {url: 'http://127.0.0.1:9'}")
    )
    with open_session(amc.workspace, amc.clock, {}) as opened:
        found = differences(opened)
    assert {(d.change, d.name) for d in found} == {(Change.UNKNOWN, "acme"), (Change.UNKNOWN, "zoo")}
    assert all(d.says for d in found)


def test_what_waits_for_amc_is_left_in_line_with_its_reason_where_nobody_is_patient(amc: Any) -> None:
    nobody = "mode: sandbox, attempts: 1, sandbox: {url: 'http://127.0.0.1:9'}"
    amc.settings(SANDBOX.replace("mode: sandbox", nobody))
    with amc.engine() as engine:
        new = provision_run(engine.project.tenants["acme"])
        engine.runs.create([new])
        engine.finish([new.idempotency_key], threading.Event(), is_patient=False)
        (run,) = engine.runs.by_keys([new.idempotency_key])
    assert run.status is RunStatus.PENDING
    assert "did not answer" in (run.reason or "")


def test_a_tenants_own_directory_inside_the_workspace_takes_its_results(amc: Any) -> None:
    amc.configure("tenants/acme.yaml", TENANT + "raw: drops/acme\n")
    with amc.engine() as engine:
        apply(engine)
        ask(engine)
    (file,) = (amc.workspace.home / "drops/acme").glob("workflow=reach/schedule=adhoc/*.csv")
    ((root, key),) = amc.query("SELECT root, key FROM amci.objects")
    assert (root, key) == ("tenant:acme", f"acme/workflow=reach/schedule=adhoc/{file.name}")
    assert amc.drain().found.new == 0


def test_a_tenants_directory_outside_is_only_read(amc: Any, tmp_path: Path) -> None:
    outside = tmp_path / "bucket"
    amc.configure("tenants/acme.yaml", TENANT + f"raw: {outside}\n")
    amc.put("workflow=spend/schedule=daily/2026-11-01-spend-ver1.csv", "day,spend\nd,1\n", root=outside)
    with amc.engine() as engine:
        engine.drain(threading.Event())
        apply(engine)
        ask(engine)
    assert [p.name for p in outside.rglob("*") if p.is_file()] == ["2026-11-01-spend-ver1.csv"]
    assert sorted(amc.tables()) == [TABLE, "adtech_amc.acme_spend_daily_ver1"]
    assert amc.query("SELECT root, count(*) FROM amci.objects GROUP BY ALL ORDER BY ALL") == [
        ("raw", 1),
        ("tenant:acme", 1),
    ]


def test_a_schedule_fires_while_up_is_running_and_its_rows_can_be_queried(amc: Any) -> None:
    amc.configure(
        "schedules/often.yaml",
        "schedule: often\nexpression: rate(1 hour)\nworkflow: reach\ntenants: [acme]\n"
        "window: {type: EXPLICIT, start: TODAY(-9), end: TODAY(-2)}\n",
    )
    with amc.engine() as engine:
        apply(engine)
        with up(engine) as succeeded:
            amc.clock.turn(timedelta(hours=1))
            succeeded("heavy")
        (fire,) = engine.session.schedules.history("often")
    assert fire.status is RunStatus.SUCCEEDED
    assert amc.query("SELECT count(*) > 0 FROM adtech_amc.acme_reach_often") == [(True,)]


def test_up_ends_when_the_configuration_is_another_one_and_not_when_it_is_broken(amc: Any) -> None:
    with amc.engine() as engine, logged("amci.engine") as says:
        stop = threading.Event()
        thread = threading.Thread(target=engine.up, args=(stop,))
        thread.start()
        amc.configure("datasets/broken.yaml", "datset: broken\n")
        says("configuration not usable")
        assert thread.is_alive()
        (amc.workspace.config / "datasets/broken.yaml").unlink()
        amc.configure("datasets/fine.yaml", "dataset: fine\n")
        thread.join(LIMIT)
        assert not thread.is_alive()
        assert engine.successor


def test_a_run_put_in_line_by_another_process_is_noticed(amc: Any) -> None:
    with amc.engine() as engine:
        apply(engine)
        with up(engine) as succeeded, open_session(amc.workspace, amc.clock, {}) as beside:
            request = ExecutionRequest(workflow_id="reach")
            new = execute_run(beside.project.tenants["acme"], request, key="beside", at=amc.clock.now())
            beside.runs.create([new])
            assert succeeded("execute").idempotency_key == "beside"


def test_a_target_that_does_not_answer_fails_nothing_else(amc: Any) -> None:
    hook = "[{kind: webhook, url: 'http://127.0.0.1:9/hook', events: [succeeded], kinds: [execute]}]"
    amc.settings(SANDBOX + "max_attempts: 1\n")
    file = amc.workspace.settings_file
    file.write_text(file.read_text().replace("notify: []", f"notify: {hook}"))
    with amc.engine() as engine:
        apply(engine)
        ask(engine)
        tally = engine.drain(threading.Event()).tally
        assert tally.failed == 0
        assert engine.runs.counts()["notify"] == {RunStatus.FAILED: 1}
    assert amc.query(f"SELECT count(*) > 0 FROM {TABLE}") == [(True,)]


def test_upkeep_is_a_run(amc: Any) -> None:
    options: dict[str, dict[str, Any]] = {task: {} for task in tasks.TASKS}
    options |= {"expire": {"older_than": "1d"}, "reprocess": {"changed": False}, "rewrite": {"table": TABLE}}
    with amc.engine() as engine:
        apply(engine)
        ask(engine)
        engine.work(threading.Event())
        for task, told in options.items():
            engine.runs.create(
                [NewRun(idempotency_key=task, kind="upkeep", payload={"do": task, "with": told})]
            )
            engine.work(threading.Event())
            (run,) = engine.runs.by_keys([task])
            assert (task, run.status) == (task, RunStatus.SUCCEEDED), run.reason
            assert isinstance(run.result, dict)
    with session(amc.workspace, memory_limit=2**28, timeout=timedelta(minutes=1), threads=1) as asking:
        found = check.examine(asking, amc.workspace, deep=True)
    assert {row["problem"] for row in found} <= {"extra"}


def test_upkeep_that_nobody_knows_fails_with_what_there_is(amc: Any) -> None:
    with amc.engine() as engine:
        engine.runs.create([NewRun(idempotency_key="u", kind="upkeep", payload={"do": "compct", "with": {}})])
        engine.work(threading.Event())
        (run,) = engine.runs.by_keys(["u"])
    assert run.status is RunStatus.FAILED
    assert "did you mean 'compact'?" in (run.reason or "")


def test_a_tenant_can_be_purged_from_the_lake(amc: Any) -> None:
    amc.put("zeta/workflow=spend/schedule=daily/2026-11-01-spend-ver1.csv", "day,spend\nd,1\n")
    amc.configure("tenants/zeta.yaml", "tenant: zeta\n")
    with amc.engine() as engine:
        engine.drain(threading.Event())
        apply(engine)
        ask(engine)
    with open_session(amc.workspace, amc.clock, {}) as opened:
        would = opened.purge_tenant("acme", dry_run=True)
        assert would["objects"] == would["tables"] == 1
        assert amc.query(f"SELECT count(*) FROM {TABLE}")[0][0] == would["rows"] > 0
        assert opened.purge_tenant("acme", dry_run=False) == would
        assert opened.purge_tenant("acme", dry_run=True) == {"objects": 0, "rows": 0, "tables": 0}
    assert amc.query(f"SELECT count(*) FROM {TABLE}") == [(0,)]
    assert amc.query("SELECT tenant_id FROM amci.objects") == [("zeta",)]


def test_runs_of_one_account_share_its_slots(amc: Any) -> None:
    amc.settings(SANDBOX.replace("mode: sandbox", "mode: sandbox, account_slots: 3"))
    amc.configure(
        "tenants/zoo.yaml", TENANT.replace("tenant: acme", "tenant: zoo").replace("amcacme001", "amczoo001")
    )
    with amc.engine() as engine:
        apply(engine)
        store: RunStore = engine.runs
        tenants = engine.project.tenants
        request = ExecutionRequest(workflow_id="reach")
        store.create(
            execute_run(tenants[name], request, key=f"{name}{i}", at=amc.clock.now())
            for i in range(5)
            for name in ("acme", "zoo")
        )
        taken = store.claim(("execute",), "w", timedelta(minutes=1), 10)
        taken += store.claim(("execute",), "w", timedelta(minutes=1), 10)
        assert len(taken) == 3
