from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from amci.app.doctor import Diagnosis, _watches, examine, exit_code
from amci.app.engine import open_engine
from amci.app.status import overview
from amci.kernel.clock import Clock, SystemClock
from amci.kernel.errors import Refused
from amci.kernel.run import Done, Failed, NewRun
from amci.kernel.state import State
from amci.kernel.testing import TurnableClock
from amci.kernel.workspace import WorkspacePaths

NOBODY: Mapping[str, str] = {}
KEY = "blue-kettle/workflow=reach/schedule=daily/2026-10-01-reach-ver1.csv"


@pytest.fixture
def workspace(tmp_path: Path) -> WorkspacePaths:
    workspace = WorkspacePaths(tmp_path / "w")
    tenant = workspace.config / "tenants" / "blue-kettle.yaml"
    tenant.parent.mkdir(parents=True)
    tenant.write_text("tenant: blue-kettle\n")
    workspace.settings_file.write_text("notify: []\nthreads: 1\n")
    workspace.raw.mkdir()
    return workspace


def write(workspace: WorkspacePaths, key: str, text: str, at: float = 1_700_000_000) -> None:
    path = workspace.raw / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (at, at))


def drain(workspace: WorkspacePaths, clock: Clock | None = None) -> None:
    with open_engine(workspace, clock or SystemClock(), NOBODY) as engine:
        engine.drain(threading.Event())


def findings(workspace: WorkspacePaths) -> list[Diagnosis]:
    # How much room the machine's disk has is no matter of these tests.
    found = examine(workspace, SystemClock(), NOBODY)
    assert all(finding.what and finding.do for finding in found)
    return [finding for finding in found if "MiB are free" not in finding.what]


def said(workspace: WorkspacePaths, part: str) -> list[str]:
    return [finding.severity for finding in findings(workspace) if part in finding.what]


def test_a_healthy_workspace_has_no_findings(workspace: WorkspacePaths) -> None:
    write(workspace, KEY, "campaign,users\nA,1\n")
    drain(workspace)
    assert findings(workspace) == []
    assert exit_code([]) == exit_code([Diagnosis("warning", "", ""), Diagnosis("info", "", "")]) == 0


def test_a_fresh_workspace_is_told_what_to_do(workspace: WorkspacePaths) -> None:
    assert [f.severity for f in findings(workspace)] == ["info"]
    assert findings(workspace)[0].as_row().keys() == {"severity", "what", "do"}


def test_an_empty_directory_and_none_are_reported(tmp_path: Path) -> None:
    for home in (tmp_path, tmp_path / "nowhere"):
        assert any(f.severity == "error" for f in findings(WorkspacePaths(home)))


def test_columns_that_a_definition_names_and_no_table_has_are_told(workspace: WorkspacePaths) -> None:
    datasets = workspace.config / "datasets"
    datasets.mkdir()
    transform = workspace.config / "transforms" / "few.sql"
    transform.parent.mkdir()
    transform.write_text("SELECT amount FROM rows")
    same = "pattern: '{team}/{dataset}/{table}/{file}'"
    # Built in, and with a setting of its own: what it has of the built-in one is not the user's.
    (datasets / "amc.yaml").write_text("dataset: amc\ntypes: {usres: BIGINT, Campaign: VARCHAR}\n")
    (datasets / "shop.yaml").write_text(
        f"dataset: shop\n{same}\nskip_if_all: Filtred\n"
        "types: {amuont: BIGINT, '価 格': DOUBLE, Total Sales: BIGINT, e.mail: VARCHAR, nowhere: DATE}\n"
        "pii: {emial: {hash: email, optional: true}, phone: {drop: true, optional: true}, note: public}\n"
    )
    (datasets / "made.yaml").write_text(
        f"dataset: made\n{same}\nheavy: few\ntypes: {{day: DATE, dya: DATE, amount: BIGINT}}\n"
    )
    (datasets / "light.yaml").write_text(
        f"dataset: light\n{same}\nlight: few\ntypes: {{zip: VARCHAR, amuont: BIGINT}}\n"
    )
    (datasets / "new.yaml").write_text(f"dataset: new\n{same}\ntypes: {{day: DATE}}\n")
    write(workspace, KEY, "campaign,users\nA,1\n")
    write(workspace, "adtech/shop/orders/1.csv", "Amount,価格,total-sales,filtered\n1,2,3,no\n")
    write(workspace, "adtech/shop/customers/1.csv", "E-Mail,filtered\nx,no\n")
    write(workspace, "adtech/light/t/1.csv", "zip,amount\n1,1\n")
    write(workspace, "adtech/made/t/1.csv", "day,amount\n2026-01-01,1\n")
    assert [f.what for f in findings(workspace) if "no table" in f.what] == []
    drain(workspace)
    assert [f.what for f in findings(workspace) if "no table" in f.what] == [
        "config/datasets/amc.yaml: types: no table of amc has a column usres (did you mean 'users'?)",
        "config/datasets/light.yaml: types: no table of light has a column amuont (did you mean 'amount'?)",
        "config/datasets/made.yaml: types: no table of made has a column dya (did you mean 'day'?)",
        "config/datasets/shop.yaml: types: no table of shop has a column amuont (did you mean 'amount'?)",
        "config/datasets/shop.yaml: types: no table of shop has a column nowhere",
        "config/datasets/shop.yaml: pii: no table of shop has a column emial (did you mean 'e_mail'?)",
        "config/datasets/shop.yaml: skip_if_all: no table of shop has a column Filtred (did you mean 'filtered'?)",
    ]


def test_every_problem_of_the_configuration_is_an_error(workspace: WorkspacePaths) -> None:
    workspace.settings_file.write_text("batsh: 3\nsettle: soon\n")
    (workspace.config / "tenants" / "bad.yaml").write_text("tenant: [1]\n")
    assert said(workspace, "batsh") == said(workspace, "settle") == said(workspace, "bad.yaml") == ["error"]


def test_failed_runs_and_quarantine_are_warnings(workspace: WorkspacePaths) -> None:
    write(workspace, KEY, "campaign,users\nA\n")
    write(workspace, "unknown.bin", "x")
    drain(workspace)
    assert said(workspace, "1 runs failed") == said(workspace, "2 objects are in quarantine") == ["warning"]
    assert exit_code(findings(workspace)) == 3


def test_runs_whose_process_is_gone_are_found_and_others_are_not(workspace: WorkspacePaths) -> None:
    write(workspace, KEY, "campaign,users\nA,1\n")
    with open_engine(workspace, SystemClock(), NOBODY) as engine:
        engine.ingest.look_everywhere()
        assert len(engine.runs.claim(["light"], "w", engine.project.settings.lease)) == 1
        assert said(workspace, "under way") == []
    assert said(workspace, "under way") == ["warning"]


def test_a_damaged_state_file_is_an_error(workspace: WorkspacePaths) -> None:
    drain(workspace)
    workspace.state.write_bytes(b"x" * 5000)
    assert "error" in said(workspace, "state file")


def test_a_damaged_page_of_the_state_file_is_an_error(workspace: WorkspacePaths) -> None:
    write(workspace, KEY, "campaign,users\nA,1\n")
    drain(workspace)
    content = bytearray(workspace.state.read_bytes())
    content[3 * 4096 : 6 * 4096] = b"\x55" * (3 * 4096)
    workspace.state.write_bytes(content)
    assert "error" in said(workspace, "state file")


def test_a_state_file_of_a_newer_amci_is_an_error(workspace: WorkspacePaths) -> None:
    drain(workspace)
    with State.open(workspace.state, SystemClock()) as state, state.transaction() as db:
        db.execute("INSERT INTO schema_migrations VALUES (9999, '9999_later', '')")
    assert said(workspace, "newer amci") == ["error"]


def test_a_catalog_that_does_not_open_is_an_error(workspace: WorkspacePaths) -> None:
    write(workspace, KEY, "campaign,users\nA,1\n")
    drain(workspace)
    with sqlite3.connect(workspace.catalog) as db:
        db.execute("DROP TABLE ducklake_snapshot")
    db.close()
    assert said(workspace, "catalog cannot be opened") == ["error"]
    workspace.catalog.unlink()
    assert said(workspace, "there is no catalog") == ["error"]


def test_a_missing_root_is_an_error(workspace: WorkspacePaths) -> None:
    workspace.settings_file.write_text("roots:\n  - {name: far, path: /nowhere/at/all}\n")
    assert said(workspace, "root 'far' is missing") == ["error"]
    assert exit_code(findings(workspace)) == 1


def test_files_from_the_future_and_files_nobody_took_are_told(workspace: WorkspacePaths) -> None:
    drain(workspace)
    write(workspace, KEY, "campaign,users\nA,1\n", at=4_000_000_000)
    assert said(workspace, "modified in the future") == ["warning"]
    write(workspace, KEY, "campaign,users\nA,1\n")
    assert said(workspace, "not taken yet") == ["info"]


def lake_paths(workspace: WorkspacePaths) -> list[Path]:
    """Two data files of the lake, in different partitions."""
    write(workspace, KEY, "campaign,users\nA,1\n")
    write(workspace, KEY.replace("2026-10", "2026-11"), "campaign,users\nB,2\nC,3\n")
    drain(workspace)
    return sorted(workspace.post_stage.rglob("*.parquet"))


def swapped(one: Path, other: Path) -> None:
    beside = one.with_name("beside")
    one.rename(beside)
    other.rename(one)
    beside.rename(other)


@pytest.mark.spread(2)
@pytest.mark.parametrize(
    "harm",
    [
        lambda one, _: one.unlink(),
        lambda one, _: os.truncate(one, one.stat().st_size - 1),
        lambda one, _: os.truncate(one, 0),
        lambda one, _: one.write_bytes(one.read_bytes()[:-20] + b"x" * 20),
        swapped,
    ],
    ids=["missing", "cut", "emptied", "altered", "exchanged"],
)
def test_damaged_files_of_the_lake_are_errors_with_a_remedy(
    workspace: WorkspacePaths, harm: Callable[[Path, Path], None]
) -> None:
    one, other = lake_paths(workspace)
    harm(one, other)
    (found,) = [f for f in findings(workspace) if "files of the lake" in f.what]
    assert found.severity == "error"
    assert one.name in found.what or other.name in found.what
    assert "amci lake check --repair" in found.do
    with open_engine(workspace, SystemClock(), NOBODY) as engine:
        engine.repair.run()
        engine.work(threading.Event())
    (found,) = findings(workspace)
    assert (found.severity, "amci lake expire" in found.do) == ("warning", True)


def test_lost_stages_and_a_lost_catalog_are_told(workspace: WorkspacePaths) -> None:
    lake_paths(workspace)
    shutil.rmtree(workspace.pre_stage)
    assert said(workspace, "pre-stage") == ["error"]
    shutil.rmtree(workspace.post_stage)
    assert said(workspace, "post-stage is lost") == ["error"]
    workspace.catalog.unlink()
    assert said(workspace, "catalog.db is lost") == ["error"]


def test_runs_that_stand_still_beside_a_process_are_told(workspace: WorkspacePaths) -> None:
    write(workspace, KEY, "campaign,users\nA,1\n")
    clock = TurnableClock()
    with open_engine(workspace, clock, NOBODY) as engine:
        engine.ingest.look_everywhere()
        assert engine.runs.claim(["light"], "w", engine.project.settings.lease)
        clock.turn(2 * engine.project.settings.lease)
        found = examine(workspace, clock, NOBODY)
    assert [f.severity for f in found if "stand still" in f.what] == ["error"]


def test_what_others_may_read_or_change_is_told() -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "w"
        if not all(above.stat().st_mode & 0o001 for above in home.resolve().parents[1:]):
            pytest.skip("nobody else may enter the directory of temporary files")
        workspace = WorkspacePaths(home)
        home.mkdir(mode=0o755)
        workspace.settings_file.write_text("notify: []\nthreads: 1\n")
        workspace.config.mkdir(mode=0o755)
        drain(workspace)
        assert said(workspace, "may read") == []  # the directory above is closed
        Path(folder).chmod(0o711)
        assert said(workspace, "may read state, ") == ["warning"]
        workspace.config.chmod(0o777)
        assert said(workspace, "may change config") == ["error"]
        home.chmod(0o700)
        assert said(workspace, "may read") == said(workspace, "may change") == []
        workspace.key_file.write_text("key")
        for mode, severities in ((0o640, ["error"]), (0o604, ["error"]), (0o600, [])):
            workspace.key_file.chmod(mode)
            assert said(workspace, "credentials.key can be read by others") == severities


def test_a_workspace_nobody_may_write_to_is_an_error(workspace: WorkspacePaths) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    workspace.home.chmod(0o500)
    try:
        assert "error" in said(workspace, "not writable")
    finally:
        workspace.home.chmod(0o700)


def test_more_folders_than_the_kernel_watches_is_a_warning(tmp_path: Path) -> None:
    limit = tmp_path / "max_user_watches"
    limit.write_text("10\n")
    assert [f.severity for f in _watches(11, limit)] == ["warning"]
    assert list(_watches(10, limit)) == []
    assert list(_watches(11, tmp_path / "none")) == []


@pytest.mark.parametrize("ahead", [timedelta(days=1), timedelta(days=3653)], ids=["a day", "ten years"])
def test_waits_that_a_clock_left_in_the_future_are_told_and_then_corrected(
    workspace: WorkspacePaths, ahead: timedelta
) -> None:
    clock = TurnableClock()
    clock.turn(ahead)
    with open_engine(workspace, clock, NOBODY) as engine:
        later = clock.now() + timedelta(hours=1)
        engine.runs.create([NewRun(idempotency_key="k:1", kind="reconcile", run_after=later)])
    # One run: when it was created, and what it waits for.
    assert overview(workspace)["waits_ahead"] == 2
    assert overview(workspace)["clock_set_back"] == ""
    assert said(workspace, "2 waits began in the future") == ["warning"]
    drain(workspace)
    assert overview(workspace)["waits_ahead"] == 0
    assert "2 waits began up to" in overview(workspace)["clock_set_back"]
    assert said(workspace, "began in the future") == []
    assert said(workspace, "the clock was set back") == ["info"]


@pytest.mark.parametrize(("status", "severity"), [("RUNNING", "warning"), ("CANCELLED", "info")])
def test_executions_that_amc_made_a_second_time_are_told(
    workspace: WorkspacePaths, status: str, severity: str
) -> None:
    drain(workspace)
    with State.open(workspace.state, SystemClock()) as state:
        for execution_id, second_of in ((1, None), (2, 1)):
            state.write(
                "INSERT INTO executions (execution_id, attempt, redrives, tenant_id, instance_id, workflow_id, name,"
                " schedule, content, fingerprint, time_window, changed_at, status, second_of)"
                " VALUES (?, 1, 0, 'acme', 'amc1', 'w', 'w', 'adhoc', '', '', '', '2026-01-01T00:00:00Z', ?, ?)",
                (execution_id, status, second_of),
            )
    assert overview(workspace)["executed_twice"] == 1
    assert said(workspace, "AMC carried out 1 requests of amci's a second time") == [severity]


def test_links_that_are_not_followed_are_told(workspace: WorkspacePaths, tmp_path: Path) -> None:
    write(workspace, KEY, "campaign,users\nA,1\n")
    raw, outside = workspace.raw, tmp_path / "outside"
    (outside / "folder").mkdir(parents=True)
    (outside / "a.csv").write_text("a\n1\n", encoding="utf-8")
    (raw / "inside.csv").symlink_to(raw / KEY)
    assert said(workspace, "symbolic link") == []
    (raw / "outside.csv").symlink_to(outside / "a.csv")
    (raw / "folder").symlink_to(outside / "folder")
    (raw / "nowhere.csv").symlink_to(outside / "gone.csv")
    (raw / ".hidden").symlink_to(outside / "a.csv")
    [finding] = [each for each in findings(workspace) if "symbolic link" in each.what]
    assert (finding.severity, "3 symbolic links" in finding.what, "raw/folder" in finding.what) == (
        "warning",
        True,
        True,
    )


def test_a_tenant_whose_check_failed_is_told(workspace: WorkspacePaths) -> None:
    run = NewRun(idempotency_key="provision:blue-kettle@1", kind="provision", tenant_id="blue-kettle")
    with open_engine(workspace, SystemClock(), NOBODY) as engine:
        for again in ("", "#2"):
            engine.runs.create([replace(run, idempotency_key=run.idempotency_key + again)])
            taken = engine.runs.claim(["provision"], "w", timedelta(hours=1))
            outcome = Done() if again else Failed(Refused(403, "no"))
            engine.runs.finish(taken, {taken[0].run_id: outcome})
            told = [f for f in findings(workspace) if "the check of 1 tenants failed: blue-kettle" in f.what]
            assert [f.severity for f in told] == ([] if again else ["warning"])
            assert exit_code(told) == (0 if again else 3)
