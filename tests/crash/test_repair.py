"""What `amci lake check` and `amci doctor` name, `amci lake check --repair` repairs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from amci.app.repair import Repaired
from amci.kernel.files import on_fault_point
from amci.kernel.state import State
from amci.lake.catalog.checksums import LakeFile, lake_files
from amci.lake.upkeep.check import examine, examine_pre_stage, staged_files
from amci.lake.upkeep.maintenance import Maintenance

from ..conftest import not_yet
from ..lake.lakes import reading

KEY = "adtech/{}/t/{}.csv"


@pytest.fixture(scope="module")
def made(site_of: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Tables with many small files, one with deleted rows, two versions side by side, and a ledger in files."""
    site = site_of(tmp_path_factory.mktemp("made") / "workspace")
    site.dataset("d")
    site.dataset("both", on_new_version="append")
    for n in range(4):
        site.put(KEY.format("d", n), f"v,text\n{n},a{n}\n{n + 10},b{n}\n")
    site.put(KEY.format("both", "x"), "w\n1\n2\n")
    site.drain()
    site.put(KEY.format("d", 9), "v,text\n9,z\n")
    site.put(KEY.format("d", 1), "v,text\n100,c\n")  # some rows of a file are deleted
    site.put(KEY.format("both", "x"), "w\n3\n")
    site.drain()
    with site.engine() as engine:
        engine.catalog.con.execute("CALL ducklake_flush_inlined_data('lake', schema_name => 'amci')")
        engine.catalog.checksums.record()
    return site


@pytest.fixture
def site(made: Any, site_of: Any, tmp_path: Path) -> Any:
    shutil.copytree(made.workspace.home, tmp_path / "site")
    return site_of(tmp_path / "site")


def files(site: Any) -> list[LakeFile]:
    with reading(site.workspace) as opened:
        return [f for f in lake_files(opened.con, site.workspace.post_stage) if f.is_current]


def content(site: Any) -> dict[str, Any]:
    """All rows, and the ledger but for runs and times."""
    rows = {name: site.query(f"SELECT * FROM {name} ORDER BY ALL") for name in site.tables()}
    ledger = site.query("SELECT * EXCLUDE (run_id, loaded_at) FROM amci.objects ORDER BY ALL")
    return rows | {"ledger": ledger}


def repaired(site: Any) -> Repaired:
    with site.engine() as engine:
        done = engine.repair.run()
        engine.work(not_yet())
    return done  # type: ignore[no-any-return]


def kept_small(site: Any) -> None:
    with site.engine() as engine:
        upkeep = Maintenance(site.workspace, engine.catalog, engine.state, engine.clock, lambda _: None)
        upkeep.compact(None)


def problems(site: Any, *, deep: bool = True) -> list[str]:
    """What is wrong now, but for what only older snapshots need."""
    with reading(site.workspace) as opened, State.read_only(site.workspace.state) as state:
        found = examine(opened, site.workspace, deep=deep)
        found += examine_pre_stage(state, site.workspace, deep=deep)
    return [f"{row['problem']} {row['file']}" for row in found if "amci lake expire" not in row["says"]]


def missing(path: Path) -> None:
    path.unlink()


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def altered(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0x10
    path.write_bytes(content)


def zeroed(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def another(path: Path) -> None:
    """Some other file of the lake in its place."""
    beside = [p for p in path.parents[3].rglob("*.parquet") if p != path]
    shutil.copy(beside[0], path)


HARM = [missing, truncated, emptied, altered, zeroed, another]
KINDS: dict[str, Callable[[LakeFile], bool]] = {
    "data file": lambda f: f.rows is not None and f.table == "adtech_d.t" and f.rows > 2,
    "delete file": lambda f: f.rows is None and f.table == "adtech_d.t",
    "file of two versions": lambda f: f.rows is not None and f.table == "adtech_both.t",
    "ledger": lambda f: f.rows is not None and f.table == "amci.objects",
    "all": lambda _: True,
}


def harmed(site: Any, kind: str, harm: Callable[[Path], None]) -> list[Path]:
    paths = [f.path for f in files(site) if KINDS[kind](f)]
    assert paths, kind
    for path in paths if kind == "all" else paths[:1]:
        harm(path)
    return paths


@pytest.mark.spread(10)
@pytest.mark.parametrize("harm", HARM, ids=lambda harm: harm.__name__)
@pytest.mark.parametrize("kind", KINDS)
def test_whatever_happened_to_a_file_its_rows_come_back(
    site: Any, kind: str, harm: Callable[[Path], None]
) -> None:
    before = content(site)
    paths = harmed(site, kind, harm)
    shown = {site.workspace.relative(path) for path in paths}
    assert {p.partition(" ")[2] for p in problems(site)} & shown
    done = repaired(site)
    assert {f.file for f in done.files} & shown
    assert not done.has_losses
    assert content(site) == before
    assert problems(site) == []
    if kind == "all":
        assert repaired(site).objects == ()
        kept_small(site)  # as ever
        assert content(site) == before


def test_two_files_that_were_exchanged_come_back(site: Any) -> None:
    before = content(site)
    one, other = [f.path for f in files(site) if f.table == "adtech_d.t" and f.rows][:2]
    beside = one.with_name("beside")
    one.rename(beside)
    other.rename(one)
    beside.rename(other)
    assert len([p for p in problems(site, deep=False) if "adtech_d" in p]) == 2
    repaired(site)
    assert content(site) == before
    assert problems(site) == []


@pytest.mark.parametrize("source", ["raw", "pre-stage"])
def test_rows_come_from_raw_or_from_pre_stage(site: Any, source: str) -> None:
    before = content(site)
    shutil.rmtree(site.workspace.pre_stage if source == "raw" else site.raw / "adtech")
    harmed(site, "data file", missing)
    assert {o.fate for o in repaired(site).objects if o.rows} == {source}
    assert content(site) == before
    assert problems(site) == []


def test_rows_that_can_be_had_from_nowhere_are_said_and_not_forgotten(site: Any, amci: Any) -> None:
    before = site.query("SELECT v, text FROM adtech_d.t ORDER BY ALL")
    raw = {key: (site.raw / key).read_bytes() for key in (KEY.format("d", n) for n in range(4))}
    kept = site.raw / KEY.format("d", 2)
    for key in raw:
        if site.raw / key != kept:
            (site.raw / key).unlink()
    shutil.rmtree(site.workspace.pre_stage)
    damaged = next(f.path for f in files(site) if f.table == "adtech_d.t" and (f.rows or 0) > 2)
    altered(damaged)
    home = str(site.workspace.home)
    code, said = amci("lake", "check", "--repair", "--json", "--home", home)
    assert code == 1
    report = json.loads(said)
    lost = {o["key"]: o["rows"] for o in report["objects"] if o["fate"] == "lost"}
    assert lost == {KEY.format("d", 0): 2, KEY.format("d", 3): 2}
    assert [(f["problem"], "stays on the disk" in f["done"]) for f in report["files"][:1]] == [
        ("altered", True)
    ]
    assert damaged.exists()
    assert [p.partition(" ")[0] for p in problems(site) if "adtech_d" in p and "pre-stage" not in p] == [
        "ledger"
    ]
    code, said = amci("lake", "check", "--repair", "--json", "--home", home)
    assert {o["key"] for o in json.loads(said)["objects"] if o["fate"] == "lost"} == set(lost)
    # Once the raw files are back, the same command brings the rows.
    for key, text in raw.items():
        site.put(key, text)
    assert amci("drain", "--home", home)[0] == 0
    assert amci("lake", "check", "--repair", "--home", home)[0] == 0
    # They are new versions.
    assert site.query("SELECT v, text FROM adtech_d.t ORDER BY ALL") == before


def test_what_only_older_snapshots_need_is_told_apart_and_goes_with_them(site: Any, amci: Any) -> None:
    home = str(site.workspace.home)
    harmed(site, "data file", truncated)
    code, said = amci("lake", "check", "--home", home)
    assert (code, "amci lake check --repair" in said) == (1, True)
    assert amci("lake", "check", "--repair", "--home", home)[0] == 0
    code, said = amci("lake", "check", "--deep", "--json", "--home", home)
    rows = json.loads(said)
    assert [("amci lake expire" in row["says"], row["problem"]) for row in rows] == [(True, "altered")]
    site.clock.turn(timedelta(days=1))
    with site.engine() as engine:
        upkeep = Maintenance(site.workspace, engine.catalog, engine.state, engine.clock, lambda _: None)
        upkeep.expire(timedelta(), dry_run=False)
        site.clock.turn(timedelta(days=1))
        upkeep.vacuum(dry_run=False)
    assert amci("lake", "check", "--deep", "--home", home)[0] == 0


def test_a_file_of_pre_stage_is_made_again_from_raw(site: Any) -> None:
    before = content(site)
    with State.read_only(site.workspace.state) as state:
        staged = [file.path for file in staged_files(state, site.workspace.pre_stage)]
    altered(staged[0])
    missing(staged[1])
    assert sorted(p.partition(" ")[0] for p in problems(site)) == ["altered", "missing"]
    assert {o.fate for o in repaired(site).objects} == {"raw"}
    assert content(site) == before
    assert problems(site) == []


@pytest.mark.parametrize("is_raw_there", [True, False])
def test_what_cannot_be_read_in_pre_stage_stops_only_its_own_objects(site: Any, is_raw_there: bool) -> None:
    before = content(site)
    with State.read_only(site.workspace.state) as state:
        staged = [f for f in staged_files(state, site.workspace.pre_stage) if "/both/" in str(f.path)]
    for file in staged:
        file.path.unlink()
        file.path.mkdir()
    if not is_raw_there:
        shutil.rmtree(site.workspace.raw)
        site.workspace.raw.mkdir()
    harmed(site, "all", missing)
    fates = {o.key: o.fate for o in repaired(site).objects if "/d/" in o.key}
    assert fates
    assert set(fates.values()) <= {"pre-stage", "raw"}
    assert site.query("SELECT * FROM adtech_d.t ORDER BY ALL") == before["adtech_d.t"]


def test_damage_in_pre_stage_is_not_loaded(site: Any) -> None:
    staged = set(site.workspace.pre_stage.rglob("*.parquet"))
    site.put(KEY.format("d", 7), "v,text\n7,seven\n")

    def damage(name: str) -> None:
        new = set(site.workspace.pre_stage.rglob("*.parquet")) - staged
        if name == "files.after_rename" and new:
            staged.update(new)
            altered(new.pop())

    on_fault_point(damage)
    try:
        site.drain()
    finally:
        on_fault_point(None)
    assert "is not what was written" in site.quarantined()[KEY.format("d", 7)]
    assert {o.fate for o in repaired(site).objects} == {"raw"}
    assert site.query("SELECT text FROM adtech_d.t WHERE v = 7") == [("seven",)]
    assert site.quarantined() == {}


def test_a_repair_that_dies_is_finished_by_the_next(
    site: Any, amci: Any, site_of: Any, tmp_path: Path
) -> None:
    before = content(site)
    harmed(site, "all", missing)
    names = tmp_path / "points"
    command = ("lake", "check", "--repair", "--home")
    counted = site_of(shutil.copytree(site.workspace.home, tmp_path / "counted"))
    assert amci(*command, str(counted.workspace.home), fault=f"count:{names}")[0] == 0
    assert content(counted) == before
    points = names.read_text(encoding="utf-8").split()
    assert {"repair.ended", "repair.queued", "checksums.before_commit"} <= set(points)
    for number in sorted({points.index(name) + 1 for name in points if not name.startswith("worker")}):
        again = site_of(shutil.copytree(site.workspace.home, tmp_path / f"{number}"))
        home = str(again.workspace.home)
        assert amci(*command, home, fault=f"kill:{number}")[0] == -signal.SIGKILL
        assert amci(*command, home)[0] == 0
        assert content(again) == before, points[number - 1]
        # A load that was killed may leave a file that belongs to nothing, for `vacuum`.
        assert [problem for problem in problems(again) if not problem.startswith("extra")] == []
        assert all(file.sha256 for file in files(again)), points[number - 1]


def test_rows_that_a_repair_did_not_come_to_are_told_without_a_deep_look(site: Any, amci: Any) -> None:
    home = ("--home", str(site.workspace.home))
    harmed(site, "data file", missing)

    def dies(name: str) -> None:
        if name == "repair.ended":
            raise KeyboardInterrupt

    on_fault_point(dies)
    try:
        with pytest.raises(KeyboardInterrupt):
            repaired(site)
    finally:
        on_fault_point(None)
    assert "rows than the ledger says" in amci("lake", "check", *home)[1]
    assert "rows than the ledger says" in amci("doctor", *home)[1]
    assert amci("lake", "check", "--repair", *home)[0] == 0
    assert "rows than the ledger says" not in amci("lake", "check", *home)[1] + amci("doctor", *home)[1]


def test_beside_a_running_amci_that_one_repairs(site: Any, amci: Any) -> None:
    before = content(site)
    harmed(site, "all", truncated)
    stop = threading.Event()
    with site.engine() as engine:
        thread = threading.Thread(target=engine.up, args=(stop,))
        thread.start()
        try:
            code, said = amci("lake", "check", "--repair", "--json", "--home", str(site.workspace.home))
        finally:
            stop.set()
            thread.join()
    assert code == 0, said
    assert json.loads(said)["files"]
    site.drain()
    assert content(site) == before
    assert problems(site) == []


def test_damage_is_not_copied_into_good_files(site: Any, amci: Any, tmp_path: Path) -> None:
    home = str(site.workspace.home)
    path = harmed(site, "data file", altered)[0]
    content = path.read_bytes()
    commands = {
        "compact": ("lake", "compact"),
        "publish": ("lake", "export"),
        "export": ("lake", "export", "--parquet", str(tmp_path / "out")),
        "backup": ("backup", str(tmp_path / "backup")),
    }
    for name, words in commands.items():
        code, said = amci(*words, "--home", home)
        assert (code, path.name in said, "amci lake check --repair" in said) == (1, True, True), (
            f"{name}: {said}"
        )
    # A column that becomes text has the table written anew.
    site.put(KEY.format("d", 8), "v,text\nword,8\n")
    site.drain()
    assert "amci lake check --repair" in site.runs(status="FAILED")[0].reason + str(
        site.state("SELECT hint FROM quarantine WHERE resolved_at IS NULL")
    )
    assert path.read_bytes() == content
    repaired(site)
    with site.engine() as engine:
        engine.redrive([], all_failed=True)
        engine.work(not_yet())
    assert ("word",) in site.query("SELECT v FROM adtech_d.t")
    assert problems(site) == []


@pytest.mark.spread(4)
@pytest.mark.parametrize("harm", [missing, truncated, emptied, zeroed], ids=lambda harm: harm.__name__)
def test_every_command_that_meets_a_damaged_file_names_the_repair(
    site: Any, amci: Any, harm: Callable[[Path], None]
) -> None:
    home = str(site.workspace.home)
    paths = harmed(site, "data file", harm)
    for words in (
        ("query", "FROM adtech_d.t"),
        ("lake", "check"),
        ("doctor",),
        ("lake", "compact"),
        ("lake", "export"),
    ):
        code, said = amci(*words, "--home", home)
        assert (code, "amci lake check --repair" in said, "bug" in said) == (1, True, False), (
            f"{words}: {said}"
        )
    code, said = amci("lake", "reprocess", "--home", home)
    assert (code, "bug" in said) == (3, False)
    assert "amci lake check --repair" in amci("lake", "quarantine", "--home", home)[1]
    assert amci("lake", "check", "--repair", "--home", home)[0] == 0
    assert amci("redrive", "--failed", "--home", home)[0] == 0
    assert site.quarantined() == {}
    assert problems(site) == []
    assert not paths[0].exists() or harm is not missing


def test_a_query_that_verifies_answers_from_nothing_that_was_altered(site: Any, amci: Any) -> None:
    """One bit in each part of the file: DuckDB alone answers some of them with other values."""
    home = str(site.workspace.home)
    path = next(site.workspace.post_stage.glob("adtech_d/t/**/*.parquet"))
    whole = path.read_bytes()
    asked = ("query", "SELECT count(*), min(v) FROM adtech_d.T", "--verify", "--home", home)
    assert amci(*asked)[0] == 0
    for at in range(4, len(whole), max(1, len(whole) // 12)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        code, said = amci(*asked)
        assert (code, "is not what amci wrote" in said, "--repair" in said) == (1, True, True), (
            f"byte {at}: {said}"
        )
    path.write_bytes(whole)
    assert amci(*asked)[0] == 0
