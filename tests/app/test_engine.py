"""What becomes of files in a workspace, whatever happens to them: the engine end to end, in this process."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from amci.app.engine import Engine
from amci.kernel.clock import stopwatch
from amci.kernel.errors import IllegalMove, NotFound, WorkspaceBusy
from amci.kernel.run import RunStatus
from amci.kernel.runs import RunStore
from amci.kernel.workspace import WorkspacePaths
from amci.lake.catalog import duck
from amci.lake.formats import Reading
from amci.lake.loading import object_reader
from amci.lake.loading.staged_object import StagedObject, heavy_run

KEY = "adtech/d/t/a.csv"
LIMIT = 20.0  # seconds until a test that waits for a thread gives up


def rows(site: Any, columns: str = "v", table: str = "adtech_d.t") -> list[Any]:
    found = site.query(f"SELECT {columns} FROM {table} ORDER BY ALL")
    return [row[0] for row in found] if "," not in columns else found


@pytest.fixture
def d(site: Any) -> Any:
    """A workspace with a plain dataset `d`."""
    site.dataset("d")
    return site


def test_a_file_delivered_a_hundred_times_is_there_once(d: Any) -> None:
    with d.engine() as engine:
        for _ in range(100):
            d.put(KEY, "v\n1\n2\n")
            engine.ingest.look_everywhere()
        engine.work(threading.Event())
        d.put(KEY, "v\n1\n2\n")
        engine.drain(threading.Event())
    assert rows(d) == [1, 2]
    assert len(d.ledger()) == 1
    assert d.state("SELECT version FROM objects") == [(101,)]


def test_the_same_content_under_another_name_is_another_object(d: Any) -> None:
    d.put(KEY, "v\n1\n")
    d.put("adtech/d/t/b.csv", "v\n1\n")
    d.drain()
    assert rows(d) == [1, 1]
    assert [key for key, _, _ in d.ledger()] == [KEY, "adtech/d/t/b.csv"]


def test_content_may_go_back_to_what_it_was(d: Any) -> None:
    for content in ("v\n1\n", "v\n2\n", "v\n1\n"):
        d.put(KEY, content)
        d.drain()
    assert rows(d) == [1]
    assert d.ledger() == [(KEY, 3, 1)]


def test_content_that_goes_back_while_its_older_version_waits_is_not_taken_for_a_repeat(
    d: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    d.put(KEY, "v\n1\n")
    d.drain()
    # The third version is seen before the second one's heavy run is in line.
    d.put(KEY, "v\n2\n")
    with d.engine() as engine:
        finish = RunStore.finish

        def late(store: RunStore, runs: Any, outcomes: Any) -> Any:
            if runs[0].kind == "light" and runs[0].payload["version"] == 2:
                d.put(KEY, "v\n1\n")
                engine.ingest.look_everywhere()
            return finish(store, runs, outcomes)

        monkeypatch.setattr(RunStore, "finish", late)
        engine.drain(threading.Event())
    assert rows(d) == [1]


def test_a_newer_version_that_is_ragged_leaves_the_old_rows_and_is_in_quarantine(d: Any) -> None:
    d.put(KEY, "v,w\n1,1\n")
    d.drain()
    d.put(KEY, "v,w\n2,2\n3\n")
    d.drain()
    assert rows(d) == [1]
    assert "line 3" in d.quarantined()[KEY]


def test_a_newer_version_without_rows_takes_the_old_ones_out(d: Any) -> None:
    d.put(KEY, "v\n1\n")
    d.put("adtech/d/t/b.csv", "v\n5\n")
    d.drain()
    d.put(KEY, "v\n")
    d.drain()
    assert rows(d) == [5]
    d.put(KEY, "v\n1\n")
    d.drain()
    assert rows(d) == [1, 5]


def test_a_mended_file_resolves_its_quarantine(d: Any) -> None:
    d.put(KEY, "v,w\n1,1\n2\n")
    d.drain()
    assert list(d.quarantined()) == [KEY]
    d.put(KEY, "v,w\n1,1\n2,2\n")
    d.drain()
    assert d.quarantined() == {}
    assert list(d.quarantined(is_open=False)) == [KEY]
    assert rows(d) == [1, 2]


def test_a_column_that_becomes_text_is_spelled_as_it_landed(d: Any) -> None:
    d.put("adtech/d/t/a.csv", "v,w\n4,TRUE\n1.50,false\n")
    d.drain()
    assert d.query("SELECT v, w FROM adtech_d.t ORDER BY v") == [(1.5, False), (4.0, True)]
    d.put("adtech/d/t/b.csv", "v,w\nn/a,maybe\n")
    d.drain()
    assert d.query("SELECT v, w FROM adtech_d.t ORDER BY v") == [
        ("1.50", "false"),
        ("4", "TRUE"),
        ("n/a", "maybe"),
    ]
    assert d.drain().found.new == 0


def test_a_column_gets_its_type_from_its_first_value(d: Any) -> None:
    for name, value in (("a", ""), ("b", "2026-01-01"), ("c", "")):
        d.put(f"adtech/d/t/{name}.csv", f"v,w\n{value},1\n")
        d.drain()
    assert d.query("SELECT typeof(v), count(v) FROM adtech_d.t GROUP BY ALL") == [("DATE", 1)]


def test_append_keeps_the_rows_of_older_versions(d: Any) -> None:
    d.dataset("d", on_new_version="append")
    d.put(KEY, "v\n1\n")
    d.drain()
    d.put(KEY, "v\n2\n")
    d.drain()
    assert rows(d) == [1, 2]


def test_a_second_writer_is_told_who_the_first_is(d: Any) -> None:
    with d.engine(), pytest.raises(WorkspaceBusy, match=rf"process {os.getpid()}\)") as busy, d.engine():
        pass
    assert busy.value.exit_code == 11


def test_a_reader_in_the_middle_of_a_load_keeps_its_snapshot(d: Any) -> None:
    d.put(KEY, "v\n1\n")
    d.drain()
    reader = duck.connect(memory_limit=2**28, threads=1)
    duck.attach(reader, d.workspace.catalog, d.workspace.post_stage, read_only=True)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM lake.adtech_d.t")
    d.put(KEY, "v\n1\n2\n3\n")
    assert d.drain().tally.failed == 0
    assert reader.execute("SELECT count(*) FROM lake.adtech_d.t").fetchall() == [(1,)]
    reader.execute("COMMIT")
    assert reader.execute("SELECT count(*) FROM lake.adtech_d.t").fetchall() == [(3,)]
    reader.close()


def test_rows_stay_when_the_raw_file_is_gone_and_that_is_recorded(d: Any) -> None:
    path = d.put(KEY, "v\n1\n")
    d.drain()
    path.unlink()
    assert d.drain().found.removed == 1
    assert rows(d) == [1]
    assert d.state("SELECT removed_at IS NOT NULL FROM objects") == [(1,)]
    assert d.drain().found.removed == 0


def test_a_root_that_is_missing_removes_nothing(d: Any) -> None:
    d.put(KEY, "v\n1\n")
    elsewhere = d.workspace.home.parent / "disk"
    d.settings(f"roots: [{{name: disk, path: {elsewhere}}}]\n")
    d.put(KEY, "v\n7\n", root=elsewhere)
    d.drain()
    elsewhere.rename(elsewhere.with_name("unmounted"))
    assert d.drain().found.removed == 0
    elsewhere.with_name("unmounted").rename(elsewhere)
    assert d.drain().found.new == 0
    assert rows(d) == [7]


def test_a_file_that_vanishes_before_it_is_read_is_loaded_when_it_comes_back_unchanged(d: Any) -> None:
    path = d.put(KEY, "v\n1\n")
    with d.engine() as engine:
        engine.ingest.look_everywhere()
        away = path.rename(d.workspace.home / "away")
        engine.work(threading.Event())
        assert [run.status for run in engine.runs.list()] == [RunStatus.SKIPPED]
        away.rename(path)
        engine.drain(threading.Event())
    assert rows(d) == [1]


def rewritten(path: Path) -> None:
    path.write_text("v\n9\n", encoding="utf-8")


def replaced(path: Path) -> None:
    other = path.with_name(".other")
    other.write_text("v\n9\n", encoding="utf-8")
    other.replace(path)


def replaced_unseen(path: Path) -> None:
    """By a file of the same size and mtime."""
    before = path.stat()
    other = path.with_name(".other")
    other.write_text("v\n9\n", encoding="utf-8")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)


def truncated(path: Path) -> None:
    os.truncate(path, 2)


@pytest.mark.parametrize("change", [rewritten, replaced, replaced_unseen, truncated])
def test_a_file_changed_while_it_is_read_ends_as_what_it_became(
    d: Any, change: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = d.put(KEY, "v\n1\n")
    changes = [change]

    def open_then_change(*given: Any, **more: Any) -> Any:
        reading = Reading(*given, **more)
        if changes:
            changes.pop()(path)
        return reading

    monkeypatch.setattr(object_reader, "Reading", open_then_change)
    with d.engine() as engine:
        engine.drain(threading.Event())
        engine.clock.turn(timedelta(hours=1))
        engine.drain(threading.Event())
        assert not changes
    if change is truncated:
        assert d.ledger() == []
    else:
        assert rows(d) == [9]
        assert len(d.ledger()) == 1
    assert d.quarantined() == {}


def test_a_growing_file_is_not_taken_until_it_stands_still(d: Any) -> None:
    path = d.put(KEY, "v\n1\n")
    with d.engine() as engine:
        now = engine.clock.now().timestamp()
        for n in range(2, 5):
            path.write_text("v\n" + "".join(f"{i}\n" for i in range(1, n + 1)), encoding="utf-8")
            os.utime(path, (now + n * 1000, now + n * 1000))  # its writer's clock runs ahead
            assert engine.ingest.look_everywhere().new == 0
        engine.clock.turn(timedelta(seconds=1))
        assert engine.ingest.look_everywhere().new == 1
        engine.work(threading.Event())
    assert rows(d) == [1, 2, 3, 4]


def test_what_no_dataset_takes_is_loaded_after_the_configuration_changed(site: Any) -> None:
    site.put("adtech/later/t/a.csv", "v\n1\n")
    assert site.drain().found.unroutable == 1
    assert "no dataset" in site.quarantined()["adtech/later/t/a.csv"]
    site.dataset("later")
    assert site.reprocess()["routed"] == 1
    assert site.quarantined() == {}
    assert rows(site, table="adtech_later.t") == [1]


def test_reprocess_changed_loads_what_an_edited_transform_made(d: Any) -> None:
    d.dataset("d", heavy="scaled")
    d.dataset("other")
    d.transform("scaled.sql", "SELECT v * 2 AS v FROM rows")
    d.put(KEY, "v\n1\n")
    d.put("adtech/other/t/a.csv", "v\n1\n")
    d.drain()
    assert d.reprocess(changed_only=True)["from_raw"] == 0
    d.transform("scaled.sql", "SELECT v * 3 AS v FROM rows")
    assert d.reprocess(changed_only=True, dry_run=True)["objects"] == 1
    assert d.reprocess(changed_only=True)["from_raw"] == 1
    assert rows(d) == [3]
    assert d.reprocess(changed_only=True)["from_raw"] == 0


def test_reprocess_takes_pre_stage_where_the_raw_file_is_gone(d: Any) -> None:
    d.dataset("d", heavy="scaled")
    d.transform("scaled.sql", "SELECT v * 2 AS v FROM rows")
    path = d.put(KEY, "v\n1\n")
    d.drain()
    path.unlink()
    d.transform("scaled.sql", "SELECT v * 5 AS v FROM rows")
    report = d.reprocess(changed_only=True)
    assert (report["from_raw"], report["from_pre_stage"]) == (0, 1)
    assert rows(d) == [5]


def test_reprocess_takes_no_other_objects_pre_stage(d: Any) -> None:
    """`a` and `a@1.csv` are keys of which one begins like the other's runs."""
    d.dataset("d", format="csv")
    gone = d.put("adtech/d/t/a", "v\n1\n")
    d.drain()
    d.put("adtech/d/t/a@1.csv", "v\n2\n")
    d.drain()
    gone.unlink()
    assert d.reprocess()["from_pre_stage"] == 1
    again = [run.payload["object_id"] for run in d.runs(kind="heavy") if run.payload["again"]]
    assert sorted(again) == [1, 2]
    assert rows(d) == [1, 2]


def test_objects_loaded_together_from_files_that_each_have_the_rows_of_both_are_there_once(d: Any) -> None:
    """One from the pre-stage file of its first load, the other from that of a second one."""
    keys = ["adtech/d/t/a.csv", "adtech/d/t/b.csv"]
    for value, key in enumerate(keys):
        d.put(key, f"v\n{value}\n")
    d.drain()
    d.put("adtech/d/t/c.csv", "v\n2\n")
    d.drain()
    d.reprocess()
    with d.engine() as engine:
        a, _, _, b, *_ = sorted(d.runs(kind="heavy"), key=lambda run: run.idempotency_key)
        each = [a, b]
        staged = [StagedObject.from_payload(run.payload) for run in each]
        assert len({file for part in staged for table in part.tables for file in table.files}) == 2
        engine.runs.create(
            heavy_run("raw", key, run, replace(part, again="~again"))
            for key, run, part in zip(keys, each, staged, strict=True)
        )
        engine.work(threading.Event())
    assert rows(d) == [0, 1, 2]


def test_reprocess_says_what_it_cannot_do(d: Any) -> None:
    path = d.put(KEY, "v\n1\n")
    d.drain()
    path.unlink()
    for staged in d.workspace.pre_stage.rglob("*.parquet"):
        staged.unlink()
    assert d.reprocess()["impossible"] == (KEY,)
    assert rows(d) == [1]


def test_a_failed_run_is_redriven_after_its_transform_was_mended(d: Any) -> None:
    d.dataset("d", heavy="faulty")
    d.transform("faulty.py", "def faulty(rows):\n    raise ValueError('row value 4711')\n")
    d.put(KEY, "v\n1\n")
    assert d.drain().tally.failed == 1
    assert "faulty" in d.quarantined()[KEY]
    assert "4711" not in d.quarantined()[KEY]
    d.transform("faulty.py", "def faulty(rows):\n    return rows\n")
    with d.engine() as engine:
        assert len(engine.redrive([], all_failed=True)) == 1
        engine.work(threading.Event())
    assert rows(d) == [1]
    assert d.quarantined() == {}


def test_a_cancelled_run_is_not_done(d: Any) -> None:
    d.put(KEY, "v\n1\n")
    with d.engine() as engine:
        engine.ingest.look_everywhere()
        (run,) = engine.runs.list()
        engine.runs.cancel([run.run_id])
        assert engine.drain(threading.Event()).tally.succeeded == 0
        with pytest.raises(IllegalMove):
            engine.redrive([run.run_id])
        with pytest.raises(NotFound):
            engine.redrive([999])
    assert d.ledger() == []


def test_one_bad_file_in_a_batch_does_not_keep_the_others_out(d: Any) -> None:
    for n in range(12):
        d.put(f"adtech/d/t/{n:02}.csv", f"v,w\n{n},{n}\n" if n != 7 else "v,w\n1\n")
    assert d.drain().tally.failed == 1
    assert rows(d) == [n for n in range(12) if n != 7]


def test_an_object_that_only_fails_in_loading_stands_alone_in_quarantine(d: Any) -> None:
    d.dataset("d", schema="freeze")
    d.put("adtech/d/t/00.csv", "v\n0\n")
    d.drain()
    for n in range(1, 8):
        d.put(f"adtech/d/t/{n:02}.csv", f"v\n{n}\n" if n != 5 else "v,extra\n5,5\n")
    d.drain()
    assert rows(d) == [0, 1, 2, 3, 4, 6, 7]
    assert list(d.quarantined()) == ["adtech/d/t/05.csv"]


@pytest.mark.parametrize("home", ["with 'quotes' \"", "[a-z]*?", "Zoë {x} $HOME ; --", "new\nline"])
def test_a_workspace_may_lie_anywhere(site_of: Any, tmp_path: Path, home: str) -> None:
    site = site_of(tmp_path / home)
    site.dataset("d", light="same")
    site.transform("same.sql", "SELECT * FROM rows")
    for n in range(2):
        site.put(f"adtech/d/t/{n}.csv", f"v\n{n}\n")
    site.drain()
    site.put("adtech/d/t/1.csv", "v\nx\n")
    site.drain()
    assert rows(site) == ["0", "x"]


@pytest.mark.spread(2)
@pytest.mark.parametrize(
    "name",
    [
        "o'brien; DROP TABLE x --",
        'say "hi"',
        "日本語のワークフロー",
        "Ünïcødé",
        "a b",
        "%41{x}$(y)",
        "x" * 200,
        "日" * 60,
    ],
)
def test_names_may_be_anything(site: Any, name: str) -> None:
    tenant = name[:20]
    site.configure("tenants/odd.yaml", json.dumps({"tenant": tenant}))
    site.dataset("d", pattern="'{tenant}/{table}/{file}'", partition_by="[tenant]")
    header = json.dumps(name).replace('\\"', '""') if '"' in name else f'"{name}"'
    site.put(f"{tenant}/workflow={name}/schedule=daily/2026-09-21-reach.csv", f"{header},b\n1,2\n")
    site.put(f"{tenant}/{name}/{name[:60]}.csv", f"{header},b\n3,4\n")
    site.drain()
    assert site.quarantined() == {}
    tables = site.tables()
    assert len(tables) == 2
    assert sorted(
        site.query(f'SELECT b FROM "{t.split(".")[0]}"."{t.split(".")[1]}"')[0][0] for t in tables
    ) == [2, 4]
    site.put(f"{tenant}/{name}/{name[:60]}.csv", f"{header},b\n3,5\n")
    site.drain()
    assert site.ledger()[-1][1] in (1, 2)
    assert len(site.ledger()) == 2


@contextmanager
def up(engine: Engine) -> Iterator[tuple[threading.Thread, threading.Semaphore]]:
    """`up` in a thread, and how many heavy runs it has finished."""
    stop, loaded = threading.Event(), threading.Semaphore(0)

    def see(run: Any) -> None:
        if run.kind == "heavy":
            loaded.release()

    at_work = threading.Thread(target=engine.up, args=(stop, see))
    at_work.start()
    try:
        yield at_work, loaded
    finally:
        stop.set()
        engine._worker.wake()
        at_work.join(LIMIT)
        assert not at_work.is_alive()


def test_up_loads_what_lands_and_stops_when_asked(d: Any) -> None:
    with d.engine() as engine, up(engine) as (_, loaded):
        d.put(KEY, "v\n1\n")
        assert loaded.acquire(timeout=LIMIT)
    assert rows(d) == [1]


def test_up_outlives_folders_whose_names_cannot_be_stored(d: Any) -> None:
    """The event of a file in such a folder hints at that folder alone."""
    odd = Path(os.fsdecode(os.fsencode(d.raw) + b"/odd\xff\n/t"))
    odd.mkdir(parents=True)
    d.put("adtech/d/t/first.csv", "v\n1\n")
    with d.engine() as engine, up(engine) as (at_work, loaded):
        assert loaded.acquire(timeout=LIMIT)
        (odd / "a.csv").write_text("v\n1\n", encoding="utf-8")
        end = stopwatch() + LIMIT
        while not d.quarantined():
            assert at_work.is_alive()
            assert stopwatch() < end
        d.put("adtech/d/t/second.csv", "v\n2\n")
        assert loaded.acquire(timeout=LIMIT)
    assert rows(d) == [1, 2]


def test_a_workspace_is_free_again_after_its_writer(d: Any) -> None:
    with d.engine():
        assert WorkspacePaths(d.workspace.home).writer()
    assert WorkspacePaths(d.workspace.home).writer() is None
