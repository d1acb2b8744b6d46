"""What `amci maintenance` forgets, what it never does, and that nothing is done twice for it."""

from __future__ import annotations

import json
import shutil
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from amci.app.doctor import examine
from amci.app.recover import recover
from amci.kernel.clock import timestamp
from amci.kernel.config import Settings, parsed
from amci.kernel.errors import ConfigError, NotFound, StateError
from amci.kernel.files import on_fault_point
from amci.kernel.run import Done, Failed, NewRun
from amci.lake.loading.forgetting import forget as forget_objects

YEAR = timedelta(days=400)
KEEP = "keep: {runs: 90d, executions: 90d, fires: 90d, versions: 90d, quarantine: 90d, logs: 90d}\n"
RULE = "[{name: whole, not_null: v, on_fail: quarantine_rows}]"


@pytest.fixture(scope="module")
def old(site_of: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A workspace with three versions of a file, one whose rows were set aside and then came, and an old schedule."""
    site = site_of(tmp_path_factory.mktemp("old") / "w")
    site.dataset("d", quality=RULE)
    site.configure(
        "schedules/tidy.yaml", "schedule: tidy\nexpression: rate(1 day)\nrun: compact\ncatch_up: all\n"
    )
    site.put("adtech/d/t/b.csv", "v,w\n,1\n2,2\n")
    for text in ("v\n1\n", "v\n1\n2\n", "v\n1\n2\n3\n"):
        site.put("adtech/d/t/a.csv", text)
        site.drain()
    site.put("adtech/d/t/b.csv", "v,w\n1,1\n2,2\n")
    site.drain()
    site.clock.turn(timedelta(days=2))
    site.drain()
    site.clock.turn(YEAR)
    (site.workspace.log.parent / f"{site.workspace.log.name}.1").write_text("{}\n")
    return site


@pytest.fixture
def site(old: Any, site_of: Any, tmp_path: Path) -> Any:
    shutil.copytree(old.workspace.home, tmp_path / "w", symlinks=True)
    site = site_of(tmp_path / "w")
    site.clock = old.clock
    site.settings(KEEP)
    return site


def forget(site: Any, *, dry_run: bool = False) -> dict[str, Any]:
    with site.engine() as engine:
        return engine.retention().run(dry_run=dry_run)


COUNTED = ("runs", "executions", "fires", "versions", "quarantine", "quarantine_files")


def test_nothing_is_forgotten_unless_it_is_said(site: Any) -> None:
    site.settings("")
    runs = site.runs()
    shown = site.state("SELECT run_id, payload FROM runs WHERE kind = 'heavy' AND status = 'SUCCEEDED'")
    report = forget(site)
    assert report["packed"] == len(shown) > 0
    assert site.state("SELECT run_id, unpacked(payload) FROM runs WHERE payload LIKE '{\"packed\"%'") == [
        (run_id, json.dumps(json.loads(payload))) for run_id, payload in shown
    ]
    assert forget(site)["packed"] == 0
    assert {report[name] for name in COUNTED} == {0}
    assert site.runs() == runs


def test_what_is_old_is_told_then_forgotten_and_nothing_is_done_twice(site: Any) -> None:
    ledger, before = site.ledger(), site.runs()
    told = forget(site, dry_run=True)
    assert site.runs() == before
    done = forget(site)
    assert {name: done[name] for name in COUNTED} == {name: told[name] for name in COUNTED}
    assert done["runs"] >= 5
    assert (done["fires"] >= 1, done["versions"], done["quarantine"], done["quarantine_files"]) == (
        True,
        3,
        1,
        1,
    )
    assert done["logs"] == 1
    assert not list(site.workspace.quarantine.rglob("*.parquet"))
    assert len(site.runs()) == len(before) - done["runs"]
    assert forget(site)["runs"] == 0
    # The same keys again: nothing is created, and nothing loaded.
    with site.engine() as engine:
        again = [NewRun(idempotency_key=run.idempotency_key, kind=run.kind) for run in before]
        assert engine.runs.create(again) == 0
    site.configure(
        "schedules/tidy.yaml", "schedule: tidy\nexpression: rate(1 day)\nrun: compact\nenabled: false\n"
    )
    assert site.drain().found.new == 0
    assert site.ledger() == ledger
    assert [f for f in examine(site.workspace, site.clock, {}) if f.severity == "error"] == []


def test_reprocessing_repair_and_recovery_find_what_they_read(site: Any) -> None:
    ledger = site.ledger()
    forget(site)
    shutil.rmtree(site.raw / "adtech")
    assert site.reprocess()["from_pre_stage"] == 2
    assert site.ledger() == ledger
    for file in site.workspace.post_stage.rglob("*.parquet"):
        file.unlink()
    with site.engine() as engine:
        assert {each.fate for each in engine.repair.run().objects} == {"pre-stage"}
        engine.work(threading.Event())
    assert site.ledger() == ledger
    with site.engine() as engine:
        assert recover(engine) == []
    assert site.ledger() == ledger


@pytest.mark.spread(2)
@pytest.mark.parametrize(
    "moment", ["retention.versions", "retention.runs", "retention.files", "retention.fires"]
)
def test_it_can_be_killed_and_run_again(site: Any, moment: str) -> None:
    class Killed(BaseException):
        pass

    def die(name: str) -> None:
        if name == moment:
            raise Killed

    ledger, told = site.ledger(), forget(site, dry_run=True)
    on_fault_point(die)
    try:
        with pytest.raises(Killed):
            forget(site)
    finally:
        on_fault_point(None)
    forget(site)
    left = forget(site, dry_run=True)
    assert (told["runs"] > 0, {left[name] for name in COUNTED}) == (True, {0})
    assert site.ledger() == ledger


def test_failed_runs_go_when_nobody_has_to_see_to_them(site_of: Any, tmp_path: Path) -> None:
    site = site_of(tmp_path / "w")
    site.dataset("d")
    site.dataset("kept", on_new_version="append")
    site.settings(KEEP)
    bad, good = 'v\n"1\n', "v\n7\n"
    rounds = {"d/t/mended": (bad, good), "d/t/again": (bad, good, bad), "d/t/open": (bad,)}
    rounds |= {"d/t/forgotten": (bad,), "kept/t/older": (bad, good)}
    for n in range(3):
        for key, texts in rounds.items():
            for text in texts[n : n + 1]:
                site.put(f"adtech/{key}.csv", text)
        site.drain()
    error = Failed(NotFound("x"))
    with site.engine() as engine:
        forget_objects(engine.state, engine.runs, site.clock, engine.objects.find("forgotten.csv"))
        engine.work(threading.Event())
        for key, outcome in {
            "acme:1": error,
            "acme:2": Done({}),
            "blue:1": Done({}),
            "blue:2": error,
        }.items():
            tenant = key.partition(":")[0]
            engine.runs.create([NewRun(idempotency_key=key, kind="reconcile", tenant_id=tenant)])
            (run,) = engine.runs.claim(["reconcile"], "w", timedelta(days=1), limit=1)
            engine.runs.finish([run], {run.run_id: outcome})

    def failed() -> set[str]:
        return {run.idempotency_key.removeprefix("light:raw/adtech/") for run in site.runs(status="FAILED")}

    before = failed()
    site.clock.turn(YEAR)
    forget(site)
    assert before - failed() == {"d/t/mended.csv@1", "d/t/forgotten.csv@1", "acme:1"}
    assert failed() == {
        "d/t/again.csv@1",
        "d/t/again.csv@3",
        "d/t/open.csv@1",
        "kept/t/older.csv@1",
        "blue:2",
    }


def test_executions_that_are_still_compared_with_amc_stay(site: Any) -> None:
    insert = (
        "INSERT INTO executions (run_id, attempt, redrives, tenant_id, instance_id, workflow_id, name, schedule,"
        " content, fingerprint, time_window, workflow_execution_id, status, changed_at)"
        " VALUES (?, 1, 0, 'acme', 'amc1', 'w', 'w', 'adhoc', '', '', '', ?, ?, ?)"
    )
    with site.engine() as engine:
        at = timestamp(engine.clock.now() - YEAR)
        engine.runs.create([NewRun(idempotency_key=f"execute:{n}", kind="execute") for n in range(3)])
        ids = {run.idempotency_key: run.run_id for run in engine.runs.list(kind="execute")}
        taken = engine.runs.claim(["execute"], "w", timedelta(days=1), limit=1)
        engine.runs.cancel(ids.values())
        engine.state.write("UPDATE runs SET changed_at = ? WHERE kind = 'execute'", (at,))
        rows = [("execute:0", "SUCCEEDED"), ("execute:1", "RUNNING"), ("execute:2", "CANCELLED")]
        engine.state.write_many(insert, [(ids[key], key, status, at) for key, status in rows])
        assert engine.retention().run(dry_run=False)["executions"] == 2
        left = [run.idempotency_key for run in engine.runs.list(kind="execute")]
        assert "execute:1" in left
        assert engine.state.read("PRAGMA foreign_key_check") == []
        assert taken


def test_an_open_run_is_never_forgotten(site: Any) -> None:
    with site.engine() as engine:
        engine.runs.create([NewRun(idempotency_key="k:open", kind="reconcile")])
        with pytest.raises(StateError, match="never deleted"):
            engine.runs.forget([engine.runs.newest()])


@pytest.mark.parametrize("text", ["29d", "1h", "-1d", "soon"])
def test_what_may_still_be_needed_cannot_be_forgotten(text: str) -> None:
    with pytest.raises(ConfigError, match=r"keep\.runs"):
        parsed(Settings, {"keep": {"runs": text}}, "amci.yaml")


def test_a_schedule_forgets(site: Any) -> None:
    site.configure("schedules/tidy.yaml", "schedule: tidy\nexpression: rate(1 day)\nrun: maintenance\n")
    site.drain()
    site.clock.turn(timedelta(days=1))
    try:
        site.drain()
    finally:
        site.clock.turn(-timedelta(days=1))
    done = [run for run in site.runs(kind="upkeep") if run.payload["do"] == "maintenance"]
    assert {run.status for run in done} == {"SUCCEEDED"}
    assert max(run.result["runs"] for run in done) > 0
