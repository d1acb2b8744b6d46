"""A dataset's `partition_by` that changes: new files go by it, and `amci lake rewrite` brings the others over."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from amci.app import plan
from amci.app.session import open_session
from amci.lake.loading import staged_object, type_inference
from amci.lake.upkeep.maintenance import Maintenance, Report
from tests.conftest import Site

ROWS = "a,b,c\n1,x,p\n2,y,q\n"
ALL = "SELECT a, b, c FROM adtech_split.t ORDER BY ALL"
TABLE = "adtech_split.t"


def folders(site: Site) -> list[str]:
    """The partitions of the files that the newest snapshot reads."""
    paths = site.query(
        "SELECT f.path FROM __ducklake_metadata_lake.ducklake_data_file f"
        " JOIN __ducklake_metadata_lake.ducklake_table t USING (table_id)"
        " WHERE f.end_snapshot IS NULL AND t.end_snapshot IS NULL AND t.table_name = 't'"
    )
    return sorted("/".join(part for part in Path(path).parts if "=" in part) for (path,) in paths)


@contextmanager
def maintaining(site: Site) -> Iterator[tuple[Maintenance, list[object]]]:
    with site.engine() as engine:
        upkeep = Maintenance(site.workspace, engine.catalog, engine.state, site.clock, lambda _: None)
        yield upkeep, list(engine.project.datasets.values())


def rewritten(site: Site, *, dry_run: bool = False) -> Report:
    with maintaining(site) as (upkeep, datasets):
        return upkeep.rewrite(None, datasets, dry_run=dry_run)  # type: ignore[arg-type]


def planned(site: Site) -> list[str]:
    with open_session(site.workspace, site.clock, {}) as opened:
        return [says for each in plan.differences(opened) if each.what == "table" for says in each.says]


FOLDERS = {"[]": {""}, "[c]": {"c=p", "c=q"}, "[c, b]": {"c=p/b=x", "c=q/b=y"}}


@pytest.mark.spread(4)
@pytest.mark.parametrize("before", ["[]", "[b]", "[b, c]"])
@pytest.mark.parametrize("after", FOLDERS)
def test_new_files_go_by_it_and_the_others_are_brought_over_once(site: Site, before: str, after: str) -> None:
    site.dataset("split", partition_by=before)
    site.put("adtech/split/t/a.csv", ROWS)
    site.drain()
    old = folders(site)
    site.dataset("split", partition_by=after)
    site.put("adtech/split/t/b.csv", ROWS)
    site.drain()
    rows, mixed = site.query(ALL), folders(site)
    assert len(rows) == 4
    assert sorted({*old, *(old if after == "[]" else FOLDERS[after])}) == sorted(set(mixed))
    due = 0 if before == after else len(mixed) if after == "[]" else len(old)
    reports = [rewritten(site, dry_run=True), rewritten(site), rewritten(site)]
    assert [sum(each["files"] for each in report["tables"]) for report in reports] == [due, due, 0]
    assert set(folders(site)) == FOLDERS[after]
    assert site.query(ALL) == rows
    assert site.query("SELECT count(*) FROM amci.objects") == [(2,)]


def test_a_table_that_nothing_was_loaded_into_since_is_named_and_brought_over(site: Site) -> None:
    site.dataset("split", partition_by="[b]")
    site.put("adtech/split/t/a.csv", ROWS)
    site.drain()
    assert planned(site) == []
    site.dataset("split", partition_by="[c]")
    says = "2 files are not partitioned by c; new ones are. `amci lake rewrite adtech_split.t`"
    assert planned(site) == [says]
    rewritten(site)
    assert planned(site) == []
    assert folders(site) == ["c=p", "c=q"]


def test_partitions_of_the_key_stay(site: Site) -> None:
    site.dataset("split", pattern="'{team}/{dataset}/{table}/{b}/{file}'", partition_by="[b]")
    site.put("adtech/split/t/x/a.csv", "a,c\n1,p\n")
    site.drain()
    site.dataset("split", pattern="'{team}/{dataset}/{table}/{b}/{file}'", partition_by="[b, c]")
    rewritten(site)
    assert folders(site) == ["b=x/c=p"]


#: Values as a folder in raw/ has them, and what they are.
HIVE = {
    "a%2Fb%20c": "a/b c",
    "%2E%2E%2Fx": "../x",
    "D%C3%BCsseldorf": "Düsseldorf",
    "1%3D2%25": "1=2%",
    "'": "'",
    "%5F_HIVE_DEFAULT_PARTITION__": "__HIVE_DEFAULT_PARTITION__",
    "__HIVE_DEFAULT_PARTITION__": None,
}


@pytest.mark.parametrize("is_large", [False, True])
def test_values_in_folders_are_those_that_hive_means(
    site: Site, monkeypatch: pytest.MonkeyPatch, *, is_large: bool
) -> None:
    """Large objects get a file of their own, whose folder the catalog reads back."""
    if is_large:
        monkeypatch.setattr(type_inference, "LARGE", 0)
        monkeypatch.setattr(staged_object, "LARGE", 0)
    site.dataset("split", pattern="'{team}/{dataset}/{table}/b={b}/{file}'", partition_by="[b]")
    for number, folder in enumerate(HIVE):
        site.put(f"adtech/split/t/b={folder}/{number}.csv", f"a\n{number}\n")
    site.drain()
    assert site.quarantined() == {}
    assert site.query("SELECT b FROM adtech_split.t ORDER BY a") == [(value,) for value in HIVE.values()]
    assert site.query("SELECT count(*) FROM adtech_split.t WHERE b IS NULL") == [(1,)]
    assert len(folders(site)) == len(HIVE)
    own = list((site.workspace.post_stage / "adtech_split" / "t").rglob("amci-*.parquet"))
    assert len(own) == (len(HIVE) - 1 if is_large else 0)


def test_a_name_of_a_table_is_not_made_of_null(site: Site) -> None:
    site.dataset("split", pattern="'{team}/{dataset}/b={b}/{file}'", table="'t_{b}'")
    key = "adtech/split/b=__HIVE_DEFAULT_PARTITION__/1.csv"
    site.put(key, "a\n1\n")
    site.drain()
    assert site.quarantined() == {key: "the key has no value for {b}"}


def test_it_may_be_killed_at_any_time(site: Site, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """At the first point of each name in the suite, at all of them under `make crash`."""
    site.dataset("split", partition_by="[b]")
    site.put("adtech/split/t/a.csv", ROWS)
    site.drain()
    rows = site.query(ALL)
    site.dataset("split", partition_by="[c]")

    def copy(name: str, fault: str) -> tuple[int, Site]:
        """What the command says on a copy of the workspace, and the copy."""
        home = shutil.copytree(site.workspace.home, tmp_path / name)
        command = [sys.executable, "-m", "amci", "lake", "rewrite", "--home", str(home)]
        done = subprocess.run(
            command, env={**os.environ, "AMCI_FAULT": fault}, capture_output=True, check=False
        )
        return done.returncode, Site(home)

    assert copy("counted", f"count:{tmp_path / 'points'}")[0] == 0
    points = (tmp_path / "points").read_text().splitlines()
    assert {"catalog.before_commit", "catalog.after_commit"} <= set(points)
    for number, point in enumerate(points, 1):
        if not request.config.getoption("--crash-all") and points.index(point) + 1 != number:
            continue
        code, killed = copy(f"killed-{number}", f"kill:{number}")
        assert code == -signal.SIGKILL
        is_done = number > points.index("catalog.before_commit") + 1
        assert (point, folders(killed)) == (point, ["c=p", "c=q"] if is_done else ["b=x", "b=y"])
        assert killed.query(ALL) == rows
        assert len(rewritten(killed)["tables"]) == (0 if is_done else 1)
        assert (killed.query(ALL), folders(killed)) == (rows, ["c=p", "c=q"])
