"""Killed at any fault point, or refused by the disk once, and started again: the lake is the one of no fault at all."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from amci.lake.query.session import session
from amci.lake.upkeep.check import NEEDED_BEFORE, examine

pytestmark = pytest.mark.crash

AMC = "acme/workflow=reach/schedule=daily/2026-09-"
REPORT = "adtech/sp_report/sales/r1.json"
SPEND = "acme/workflow=spend/schedule=weekly/2026-09-"
#: The short form tries so many points of a scenario beside the first of each name.
SPREAD = 3


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


def large_delivery(site: Any) -> None:
    """A file that gets one of its own in post-stage, and one that is cast while it is read, into two partitions."""
    site.dataset("orders")
    site.put("adtech/orders/lines/large.csv", "n\n" + "1\n" * 500_001)
    site.dataset("days", partition_by="[day]")
    site.put("adtech/days/lines/large.csv", typed("1", "2"))


def large_replacement(site: Any) -> None:
    """Another large file in place of the first."""
    site.put("adtech/orders/lines/large.csv", "n\n" + "2\n" * 500_001)
    site.put("adtech/days/lines/large.csv", typed("2", "3"))


def typed(*days: str) -> str:
    """So many rows, of so much text, that they are cast while they are read."""
    rows = "".join(f"2026-01-0{day},{'word ' * 20}\n" for day in days)
    return "day,words\n" + rows * 50_001


def damage(site: Any) -> None:
    """A lake whose files are gone, cut or altered; the ledger's rows lie in the catalog."""
    for number, path in enumerate(sorted(site.workspace.post_stage.rglob("*.parquet"))):
        match number % 3:
            case 0:
                path.unlink()
            case 1:
                os.truncate(path, path.stat().st_size // 2)
            case _:
                path.write_bytes(bytes(path.stat().st_size))


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
    names = site.tables()
    with site.asking() as ask:
        for name in names:
            columns = ask(f"SELECT column_name, column_type FROM (DESCRIBE {name})")
            rows = ask(
                f"SELECT o.key, t.* EXCLUDE (_object_id) FROM {name} t"
                " JOIN (SELECT DISTINCT object_id, key FROM amci.objects) o ON o.object_id = t._object_id"
                " ORDER BY ALL"
            )
            assert len(rows) == ask(f"SELECT count(*) FROM {name}")[0][0], "rows of no object"
            tables[name] = (columns, rows)
        ledger = ask(
            "SELECT * EXCLUDE (object_id, run_id, loaded_at, modified_at) FROM amci.objects ORDER BY ALL"
        )
    return Lake(
        tables=tables,
        ledger=ledger,
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
    """A workspace before the command that is hit by a fault, and the lake it ends in."""

    before: Path
    command: tuple[str, ...]
    points: list[str]  #: the fault points that it passes
    calls: list[str]  #: the calls that change something on the disk
    reads: list[str]  #: the calls that read from it
    code: int  #: how the command ends
    after: Lake


#: What is delivered and drained before the command, what is delivered then, and the command.
SCENARIOS = {
    "first": ((), first_delivery, ("drain",)),
    "second": ((first_delivery,), second_delivery, ("drain",)),
    "large": ((large_delivery,), large_replacement, ("drain",)),
    "compact": ((first_delivery, second_delivery), None, ("lake", "compact")),
    "repair": ((first_delivery, second_delivery), damage, ("lake", "check", "--repair")),
}


def copied(site_of: Callable[[Path], Any], source: Path, to: Path) -> Any:
    shutil.copytree(source, to, symlinks=True)
    return site_of(to)


@pytest.fixture(scope="session")
def scenario(
    request: pytest.FixtureRequest,
    amci: Any,
    refusing: Any,
    site_of: Callable[[Path], Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Scenario:
    earlier, delivery, command = SCENARIOS[request.param]
    folder = tmp_path_factory.mktemp("scenario")
    site = site_of(folder / "before")
    home = str(site.workspace.home)
    for each in earlier:
        each(site)
        assert amci("drain", "--home", home)[0] in (0, 3)
    if delivery:
        delivery(site)
    counted = copied(site_of, site.workspace.home, folder / "counted")
    names = folder / "points"
    code, _ = amci(*command, "--home", str(counted.workspace.home), fault=f"count:{names}")
    after = lake(counted)
    other = copied(site_of, site.workspace.home, folder / "other")
    *_, calls = refusing(other.workspace.home, 0, *command)
    assert lake(other) == after
    other = copied(site_of, site.workspace.home, folder / "read")
    *_, reads = refusing(other.workspace.home, 0, *command, reads=True)
    assert lake(other) == after
    return Scenario(
        before=site.workspace.home,
        command=command,
        points=names.read_text(encoding="utf-8").split(),
        calls=calls,
        reads=reads,
        code=code,
        after=after,
    )


def every(config: pytest.Config, count: int) -> list[int]:
    """The numbers from 1 to `count` that the long form tries; none in the short one."""
    step = config.getoption("--crash-every") or int(config.getoption("--crash-all"))
    return list(range(1, count + 1, step)) if step else []


def chosen(points: list[str], config: pytest.Config) -> list[int]:
    """Numbers of the fault points to try, counted from 1."""
    if long := every(config, len(points)):
        return long
    firsts = {points.index(name) + 1 for name in points}
    return sorted(firsts | spread(len(points), SPREAD))


def refused(calls: list[str], config: pytest.Config) -> list[int]:
    """Numbers of the calls to refuse, from 1; in the short form a few, and the commits of what is loaded."""
    if long := every(config, len(calls)):
        return long
    loading = next(number for number, call in enumerate(calls) if call.startswith("write stage/post-stage"))
    fsyncs = [n for n, call in enumerate(calls, 1) if n > loading and call == "fsync state/catalog.db-wal"]
    return [len(calls) // 2, *(fsyncs[n - 1] for n in sorted(spread(len(fsyncs), 2)))]


def spread(count: int, many: int) -> set[int]:
    """That many numbers from 1 to `count`, the first and the last among them; one alone is in the middle."""
    return {1 + round(i * (count - 1) / (many - 1)) for i in range(many)} if many > 1 else {(1 + count) // 2}


def is_whole(site: Any) -> bool:
    """Whether catalog and files agree but for files of the killed transaction, and no run is left."""
    with session(site.workspace, memory_limit=2**28, timeout=timedelta(minutes=1), threads=1) as asking:
        found = examine(asking, site.workspace, deep=True)
    statuses = {status for (status,) in site.state("SELECT status FROM runs")}
    wrong = {row["problem"] for row in found if NEEDED_BEFORE not in row["says"]}
    return wrong <= {"extra"} and not statuses & {"PENDING", "RUNNING"}


@pytest.mark.spread(4)
@pytest.mark.parametrize("scenario", ["first", "second", "large"], indirect=True)
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
    points = chosen(scenario.points, request.config)
    if not every(request.config, 1):
        points = points[::2]
    assert {"state.before_commit", "files.before_rename", "catalog.before_commit"} <= set(scenario.points)
    for number in points[share::2]:
        site = copied(site_of, scenario.before, tmp_path / f"{number}")
        home = str(site.workspace.home)
        code, said = amci(*scenario.command, "--home", home, fault=f"kill:{number}")
        # A thread that finds nothing to claim passes fault points too, a few more or fewer each time.
        assert code == -signal.SIGKILL or number > len(points_named) - 12, f"point {number}: {said}"
        code, said = amci(*scenario.command, "--home", home)
        # What fails may have failed in the process that was killed.
        assert code in (0, scenario.code), f"point {number} ({scenario.points[number - 1]}): {said}"
        assert lake(site) == scenario.after, f"after point {number} ({scenario.points[number - 1]})"
        assert is_whole(site)
        shutil.rmtree(site.workspace.home)


@pytest.mark.spread(3)
@pytest.mark.parametrize(
    ("scenario", "sign"),
    [("second", 1), ("large", 1), ("compact", 1), ("repair", 1), ("large", -1)],
    ids=["second", "large", "compact", "repair", "large, from then on"],
    indirect=["scenario"],
)
def test_what_the_disk_refused_is_done_when_it_no_longer_does(
    scenario: Scenario,
    sign: int,
    *,
    amci: Any,
    refusing: Any,
    site_of: Callable[[Path], Any],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    wrong = []
    for number in refused(scenario.calls, request.config):
        site = copied(site_of, scenario.before, tmp_path / f"{number}")
        home = site.workspace.home
        # So that nothing comes between what failed and the next process.
        site.settings("max_attempts: 1\n")
        _, first, calls = refusing(home, sign * number, *scenario.command)
        if site.workspace.state.exists() and site.state("SELECT 1 FROM runs WHERE status = 'FAILED'"):
            amci("redrive", "--failed", "--home", str(home))
        code, then = amci(*scenario.command, "--home", str(home))
        is_right = code in (0, scenario.code) and "bug in amci" not in first
        # What has failed meanwhile stays noted.
        now, after = (replace(each, quarantine=[], runs={}) for each in (lake(site), scenario.after))
        if not (is_right and now == after and is_whole(site)):
            call = calls[number - 1] if number <= len(calls) else "none"
            wrong.append(f"call {number} ({call}): {first}then: {then}")
        sys.stdout.write(
            f"{scenario.command} {sign * number} of {len(scenario.calls)}, wrong: {len(wrong)} {wrong[-1:]}\n"
        )
        shutil.rmtree(home)
    assert not wrong, "\n".join(wrong)


@pytest.mark.spread(2)
@pytest.mark.parametrize("scenario", ["second", "large", "compact", "repair"], indirect=True)
def test_what_could_not_be_read_is_read_again_or_told(
    scenario: Scenario,
    *,
    amci: Any,
    refusing: Any,
    site_of: Callable[[Path], Any],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    """Of the catalog, the state, their logs, Parquet and raw: nothing is deleted, and nothing fails for good."""
    wrong = []
    numbers = every(request.config, len(scenario.reads)) or sorted(spread(len(scenario.reads), SPREAD))
    for number in numbers:
        site = copied(site_of, scenario.before, tmp_path / f"{number}")
        home = site.workspace.home
        raw = sorted(site.raw.rglob("*"))
        _, first, calls = refusing(home, number, *scenario.command, reads=True)
        code, then = amci(*scenario.command, "--home", str(home))
        is_right = (
            code in (0, scenario.code) and "bug in amci" not in first and sorted(site.raw.rglob("*")) == raw
        )
        # With what has failed: nothing that would not have failed anyway.
        if not (is_right and lake(site) == scenario.after and is_whole(site)):
            call = calls[number - 1] if number <= len(calls) else "none"
            wrong.append(f"call {number} ({call}): {first}then: {then}")
        sys.stdout.write(
            f"{scenario.command} read {number} of {len(scenario.reads)}, wrong: {len(wrong)} {wrong[-1:]}\n"
        )
        shutil.rmtree(home)
    assert not wrong, "\n".join(wrong)
