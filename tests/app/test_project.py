from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from amci.app.project import fingerprint, load
from amci.kernel.errors import ConfigError
from amci.workflows.executions.run_factory import ExecuteTask


def problems(site: Any) -> str:
    with pytest.raises(ConfigError) as wrong:
        load(site.workspace, {})
    return str(wrong.value)


def test_what_comes_with_amci_is_there_without_configuration(site: Any) -> None:
    project = load(site.workspace, {})
    assert {"amc", "ads_report", "sp_report"} <= project.datasets.keys()
    assert "amc_light_transform" in project.transforms
    assert list(project.tenants) == ["acme"]


def test_a_change_in_a_linked_folder_is_noticed(site: Any, tmp_path: Path) -> None:
    site.dataset("d")
    datasets = site.workspace.config / "datasets"
    datasets.rename(tmp_path / "elsewhere")
    datasets.symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "around").symlink_to(site.workspace.config)
    before = fingerprint(site.workspace)
    assert before == fingerprint(site.workspace)
    with (tmp_path / "elsewhere" / "d.yaml").open("a") as file:
        file.write("# changed\n")
    assert before != fingerprint(site.workspace)


def test_all_problems_of_all_files_are_told_at_once(site: Any) -> None:
    site.settings("batsh: 1\n")
    site.dataset("a", heavy="scalled")
    site.dataset("b", patern="x/{file}")
    site.transform("scaled.sql", "SELECT * FROM rows")
    site.transform("broken.py", "def broken(rows:\n")
    site.configure("tenants/twin.yaml", "tenant: twin\nprefix: ACME\n")
    site.configure("tenants/again.yaml", "tenant: acme\n")
    said = problems(site)
    for words in ("batsh", "did you mean 'scaled'?", "did you mean 'pattern'?", "broken.py", "tenant twin",
                  "another file"):  # fmt: skip
        assert words in said


@pytest.mark.parametrize(
    ("roots", "says"),
    [
        ("[{name: a, path: raw}, {name: a, path: other}]", "stands twice"),
        ("[{name: a, path: raw}, {name: b, path: raw/deep}]", "overlaps"),
        ("[{name: a, path: stage/post-stage/x}]", "amci's own"),
    ],
)
def test_roots_that_cannot_work_are_refused(site: Any, roots: str, says: str) -> None:
    site.settings(f"roots: {roots}\n")
    assert says in problems(site)


def test_a_dataset_of_ones_own_hides_the_one_that_comes_with_amci(site: Any) -> None:
    site.dataset("amc", pattern="'mine/{file}'")
    project = load(site.workspace, {})
    assert project.datasets["amc"].pattern == "mine/{file}"
    assert project.datasets["amc"].light is None
    assert not project.dataset_sources["amc"].is_extension


AWRY = {
    "dataset": ("datasets/mine.yml", "dataset: a\nheavy: nowhere\n", "no transform 'nowhere'"),
    "built-in dataset": ("datasets/mine.json", '{"dataset": "amc", "light": "nowhere"}', "'nowhere'"),
    "pattern": (
        "datasets/amc.yml", "{dataset: amc, extends: built_in, pattern: 'in/{tenant}/{file}'}",
        "lacks {workflow}, {schedule}, which amc_light_transform needs",
    ),
    "pattern of reports": (
        "datasets/mine.yml", "{dataset: mine, light: reports_light_transform, pattern: 'in/{file}'}",
        "lacks {table}, which reports_light_transform needs",
    ),
    "inherited": ("transforms/amc_light_transform.py", "def amc_light_transform(obj:\n", "cannot be loaded"),
    "prefix": ("tenants/all.json", '{"tenants": [{"tenant": "b"}, {"tenant": "c", "prefix": "b"}]}', "mix"),
    "raw": ("tenants/all.yml", "tenant: b\nraw: raw/b\n", "overlaps with root"),
    "notify": ("tenants/all.yml", "tenant: b\nnotify: [{}, {kind: webhook}]\n", "whole address"),
    "workflow": ("workflows/reach.json", '{"sql": "SELECT 1", "tenants": ["who"]}', "no tenant 'who'"),
    "workflow alone": ("workflows/w.yml", "workflow_id: x\nsql: SELECT 1\nvalues: {who: {}}\n", "no tenant"),
    "schedule": (
        "schedules/one.yml",
        "schedule: s\nexpression: rate(1 day)\nworkflow: w\ntenants: [who]\ndefinition: {sqlQuery: SELECT 1}\n",
        "no tenant 'who'",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("file", "text", "says"), AWRY.values(), ids=AWRY)
def test_a_mistake_is_told_of_the_file_that_has_it(site: Any, file: str, text: str, says: str) -> None:
    site.configure(file, text)
    with pytest.raises(ConfigError) as wrong:
        load(site.workspace, {})
    for problem in wrong.value.problems:
        assert (site.workspace.home / problem.file).is_file(), problem
        assert problem.file == f"config/{file}"
        assert says in problem.says


def test_a_mistake_of_the_environment_is_told_of_its_variable(site: Any) -> None:
    site.settings("scan_every: soon\n")
    with pytest.raises(ConfigError) as wrong:
        load(site.workspace, {"AMCI_BATCH": "none", "AMCI_LOG_LEVEL": "loud"})
    assert {(p.file, p.field) for p in wrong.value.problems} == {
        ("amci.yaml", "scan_every"), ("environment", "AMCI_BATCH"), ("environment", "AMCI_LOG_LEVEL"),
    }  # fmt: skip


@pytest.mark.parametrize(("given", "folder"), [("", "weekly"), ("schedule_folder: adhoc\n", "adhoc")])
def test_results_go_to_the_folder_that_their_schedule_names(site: Any, given: str, folder: str) -> None:
    site.configure(
        "tenants/acme.yaml", "tenant: acme\ninstance_id: amcx\nadvertiser_id: E\nmarketplace_id: M\n"
    )
    site.configure("workflows/reach.sql", "SELECT 1")
    text = f"schedule: weekly\nexpression: rate(7 days)\nworkflow: reach\ntenants: [acme]\n{given}"
    site.configure("schedules/weekly.yaml", text)
    schedule = load(site.workspace, {}).schedules["weekly"]
    assert ExecuteTask.of(schedule.run.payload).schedule == folder


def test_a_helper_that_changed_makes_its_transforms_stale(site: Any) -> None:
    source = "def _double(v):\n    return v * {n}\n\ndef scaled(rows):\n    return rows\n"
    hashes = []
    for n in (2, 3):
        site.transform("scaled.py", source.format(n=n))
        transforms = load(site.workspace, {}).transforms
        assert "_double" not in transforms
        hashes.append(transforms["scaled"].source_hash)
    assert hashes[0] != hashes[1]
