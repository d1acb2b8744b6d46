"""Killed at any fault point and started again, the lake is the one of a process that was never killed."""

from __future__ import annotations

import json
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from amci.lake.query.session import session
from amci.lake.upkeep.check import examine

pytestmark = pytest.mark.crash

AMC = "acme/workflow=reach/schedule=daily/2026-09-"
REPORT = "adtech/sp_report/sales/r1.json"
SPEND = "acme/workflow=spend/schedule=weekly/2026-09-"
#: The short form tries so many points of a scenario beside the first of each name.
SPREAD = 5


def first_delivery(site: Any) -> None:
    """Results, one without rows, one ragged, JSON of two tables, rows a rule keeps out, no dataset."""
    site.dataset("orders", quality="[{not_null: [id], on_fail: quarantine_rows}]", light="doubled")
    site.transform("doubled.sql", "SELECT *, id || id AS twice FROM rows")
    site.put(f"{AMC}21-reach-ver1.csv", "user,cost\nu1,1\nu2,2\n")
    site.put(f"{AMC}22-reach-ver1.csv", "user,cost\nu3,3\n")
    site.put(f"{AMC}23-reach-ver1.csv", "user,cost\nu4,4\nu5\n")
    site.put(f"{AMC}24-reach-ver1.csv", "user,cost\n")
    site.put(f"{AMC}25-reach-ver1.csv", "user,cost\nu6,6\n")
    site.put(f"{SPEND}28-spend-ver1.csv", "day,spend,seen\nd1,4,TRUE\nd2,1.50,false\n")
    site.put(REPORT, json.dumps({"byDate": [{"n": 1}], "byAsin": [{"m": "x"}]}))
    site.put("adtech/orders/lines/a.csv", "id,amount\n1,10\n,20\n3,30\n")
    site.put("nobody/knows.csv", "a\n1\n")


def second_delivery(site: Any) -> None:
    """Versions that replace, empty, spoil and mend; columns that become text; a file that is gone."""
    site.put(f"{AMC}21-reach-ver1.csv", "user,cost\nu1,1.5\nu2,2.5\nu9,9.25\n")
    site.put(f"{AMC}22-reach-ver1.csv", "user,cost\nu3,3\nu4\n")
    site.put(f"{AMC}23-reach-ver1.csv", "user,cost\nu4,4\nu5,5\n")
    site.put(f"{AMC}25-reach-ver1.csv", "user,cost\n")
    site.put(f"{AMC}26-reach-ver1.csv", "user,cost,more\nu7,7,2026-01-01\n")
    site.put(f"{SPEND}29-spend-ver1.csv", "day,spend,seen\nd3,n/a,maybe\n")
    site.put(REPORT, json.dumps({"byDate": [{"n": 1}, {"n": 2, "k": True}]}))
    (site.raw / "adtech/orders/lines/a.csv").unlink()


@dataclass(frozen=True)
class Lake:
    """What a drain leaves, without what may differ from one process to another: ids of runs and times."""

    tables: dict[str, tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]]
    ledger: list[tuple[Any, ...]]
    objects: list[tuple[Any, ...]]
    quarantine: list[tuple[Any, ...]]
    runs: dict[str, str]
    unfinished: list[tuple[Any, ...]]


def lake(site: Any) -> Lake:
    tables = {}
    for name in site.tables():
        columns = site.query(f"SELECT column_name, column_type FROM (DESCRIBE {name})")
        rows = site.query(
            f"SELECT o.key, t.* EXCLUDE (_object_id) FROM {name} t"
            " JOIN (SELECT DISTINCT object_id, key FROM amci.objects) o ON o.object_id = t._object_id"
            " ORDER BY ALL"
        )
        assert len(rows) == site.query(f"SELECT count(*) FROM {name}")[0][0], "rows of no object"
        tables[name] = (columns, rows)
    return Lake(
        tables=tables,
        ledger=site.query(
            "SELECT * EXCLUDE (object_id, run_id, loaded_at, modified_at) FROM amci.objects ORDER BY ALL"
        ),
        objects=site.state(
            "SELECT key, o.version, o.dataset, o.removed_at IS NULL, v.version, v.sha256, v.loaded_at IS NULL"
            " FROM objects o JOIN versions v USING (object_id) ORDER BY key, v.version"
        ),
        quarantine=site.state(
            "SELECT key, q.version, stage, part, reason, line, rows, resolved_at IS NULL"
            " FROM quarantine q JOIN objects USING (object_id) ORDER BY 1, 2, 3, 4"
        ),
        # A load that is tried again may load its neighbours again: such runs carry a mark and may be more.
        runs=dict(
            site.state("SELECT idempotency_key, status FROM runs WHERE idempotency_key NOT LIKE '%~%'")
        ),
        unfinished=site.state("SELECT idempotency_key FROM runs WHERE status IN ('PENDING', 'RUNNING')"),
    )


@dataclass(frozen=True)
class Scenario:
    """A workspace before the drain that is killed, and the lake it ends in."""

    before: Path
    points: list[str]
    after: Lake


def copied(site_of: Callable[[Path], Any], source: Path, to: Path) -> Any:
    shutil.copytree(source, to, symlinks=True)
    return site_of(to)


@pytest.fixture(scope="session", params=["first", "second"])
def scenario(
    request: pytest.FixtureRequest,
    amci: Any,
    site_of: Callable[[Path], Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Scenario:
    folder = tmp_path_factory.mktemp(request.param)
    site = site_of(folder / "before")
    first_delivery(site)
    if request.param == "second":
        assert amci("drain", "--home", str(site.workspace.home))[0] == 3
        second_delivery(site)
    counted = copied(site_of, site.workspace.home, folder / "counted")
    names = folder / "points"
    assert amci("drain", "--home", str(counted.workspace.home), fault=f"count:{names}")[0] == 3
    return Scenario(site.workspace.home, names.read_text(encoding="utf-8").split(), lake(counted))


def chosen(points: list[str], *, all_of_them: bool) -> list[int]:
    """Numbers of the fault points to try, counted from 1."""
    if all_of_them:
        return list(range(1, len(points) + 1))
    firsts = {points.index(name) + 1 for name in points}
    spread = {1 + round(i * (len(points) - 1) / (SPREAD - 1)) for i in range(SPREAD)}
    return sorted(firsts | spread)


def assert_whole(site: Any) -> None:
    """Catalog and files agree but for files of the killed transaction, and no run is left."""
    with session(site.workspace, memory_limit=2**28, timeout=timedelta(minutes=1), threads=1) as asking:
        found = examine(asking, site.workspace, deep=True)
    assert {row["problem"] for row in found} <= {"extra"}, found
    statuses = Counter(status for (status,) in site.state("SELECT status FROM runs"))
    assert not statuses["PENDING"] + statuses["RUNNING"]


@pytest.mark.parametrize("share", range(2))
def test_a_killed_drain_is_taken_up_where_it_died(
    scenario: Scenario,
    share: int,
    *,
    amci: Any,
    site_of: Callable[[Path], Any],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    points_named = scenario.points
    points = chosen(scenario.points, all_of_them=request.config.getoption("--crash-all"))
    assert {"state.before_commit", "files.before_rename", "catalog.before_commit"} <= set(scenario.points)
    for number in points[share::2]:
        site = copied(site_of, scenario.before, tmp_path / f"{number}")
        home = str(site.workspace.home)
        code, said = amci("drain", "--home", home, fault=f"kill:{number}")
        # A thread that finds nothing to claim passes fault points too, a few more or fewer each time.
        assert code == -signal.SIGKILL or number > len(points_named) - 12, f"point {number}: {said}"
        code, said = amci("drain", "--home", home)
        assert code in (0, 3), f"point {number} ({scenario.points[number - 1]}): {said}"
        assert lake(site) == scenario.after, f"after point {number} ({scenario.points[number - 1]})"
        assert_whole(site)
        shutil.rmtree(site.workspace.home)
