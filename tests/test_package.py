"""Does amci work where it was installed from its wheel, and do its version numbers agree?"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import Distribution, distributions
from pathlib import Path
from zipfile import ZipFile

import pyarrow as pa
import pytest

from amci import QueryAnswer, UsageError, __version__
from amci.app import samples

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the wheel is installed. What it depends on is the environment's, so no network is needed."""
    folder = tmp_path_factory.mktemp("site")
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--target", folder, wheel]
    subprocess.run(install, check=True, capture_output=True)
    return folder


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """An empty directory, so that nothing is found beside the program."""
    empty = tmp_path / "empty"
    empty.mkdir()
    return empty


def amci(site: Path, directory: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(site), "TMPDIR": str(directory)}
    done = subprocess.run(
        [site / "bin" / "amci", *arguments],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def installed(site: Path) -> Distribution:
    return next(found for found in distributions(path=[str(site)]) if found.name == "amci")


def test_the_wheel_has_the_licence_the_data_and_nothing_of_the_tests(wheel: Path) -> None:
    names = set(ZipFile(wheel).namelist())
    data = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "amci").rglob("*")
        if path.is_file() and path.suffix not in (".pyc", ".py")
    }
    example = {
        f"amci/example/{path.relative_to(ROOT / 'config').as_posix()}"
        for path in (ROOT / "config").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {"amci/py.typed", "amci/kernel/queries.sql", "amci/example/amci.yaml"} <= data | example
    assert data | example <= names
    assert f"amci-{__version__}.dist-info/licenses/LICENSE" in names
    assert {name.partition("/")[0] for name in names} == {"amci", f"amci-{__version__}.dist-info"}
    assert [name for name in names if re.search(r"(^|/)(tests?|test_\w+\.py|conftest\.py)(/|$)", name)] == []


def test_an_installed_amci_makes_a_workspace_and_checks_sql(site: Path, directory: Path) -> None:
    assert "next: put files into" in amci(site, directory, "init", "insights")
    assert (directory / "insights/config/workflows/campaign_reach.sql").is_file()
    (directory / "reach.sql").write_text(
        "SELECT advertiser, SUM(impressions) AS n FROM dsp_impressions GROUP BY 1"
    )
    assert "dsp_impressions" in amci(site, directory, "sql", "check", "reach.sql")


def test_an_installed_amci_plays_the_demo_and_says_where_and_what_became_of_each_file(
    site: Path, directory: Path
) -> None:
    shown = amci(site, directory, "demo")
    (home,) = directory.glob("amci-demo-*")
    assert f"The workspace is {home}. Go on with:" in shown
    lines = shown.splitlines()
    for sample in samples.first_delivery() + samples.second_delivery():
        told = [line for line in lines if line.endswith(f"  {sample.key}")]
        assert [line for line in told if line.startswith(sample.expect)], sample.key
        assert [line for line in told if line.startswith(sample.about)], sample.key


def test_the_version_is_the_same_everywhere(site: Path, directory: Path) -> None:
    newest = re.search(r"^## \[(\d\S*)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest
    assert newest[1] == __version__
    assert installed(site).version == __version__
    assert amci(site, directory, "--version").strip() == __version__


def test_what_few_people_need_is_an_extra(site: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = {
        re.split(r"\W", name)[0] for names in project["optional-dependencies"].values() for name in names
    }
    assert extras == {"openpyxl", "pandas"}
    assert extras & {re.split(r"\W", name)[0] for name in project["dependencies"]} == set()
    assert set(installed(site).metadata.get_all("Provides-Extra")) == set(project["optional-dependencies"])


def test_an_extra_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    answer = QueryAnswer(("a",), ("INTEGER",), pa.table({"a": [1]}))
    with pytest.raises(UsageError, match="pandas is not installed") as refused:
        answer.to_pandas()
    assert refused.value.hint == "pip install 'amci[notebook]'"
