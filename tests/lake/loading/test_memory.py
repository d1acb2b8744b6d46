"""A process that stays gives back the memory of a large load."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Site

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")

MIB = 1024**2
#: What may stay beyond what the process had after a small load: code that was loaded, threads, pools.
MORE = 96 * MIB
CHILD = """
import json, os, resource, sys, threading
from pathlib import Path
from amci.app.engine import open_engine
from amci.kernel.clock import SystemClock
from amci.kernel.workspace import WorkspacePaths

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

found = []
with open_engine(WorkspacePaths(Path(sys.argv[1])), SystemClock(), {}) as engine:
    for large in ("small.csv", "large.csv"):
        os.rename(f"{sys.argv[2]}/{large}", f"{sys.argv[1]}/raw/adtech/many/t/{large}")
        engine.drain(threading.Event())
        found.append(resident())
    rows = engine.catalog.con.execute("SELECT count(*) FROM lake.adtech_many.t").fetchall()[0][0]
    limit = engine.catalog.con.execute("SELECT current_setting('memory_limit')").fetchall()[0][0]
print(json.dumps([*found, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, rows, limit]))
"""
KINDS = {"cast in one batch": {}, "looked at by rules": {"quality": "[{not_null: [a]}]"}}


@pytest.mark.parametrize("kind", KINDS)
def test_memory_comes_back_after_a_large_load(site: Site, tmp_path: Path, kind: str) -> None:
    site.dataset("many", **KINDS[kind])
    (site.raw / "adtech/many/t").mkdir(parents=True)
    for name, rows in (("small.csv", 10), ("large.csv", 700_000)):
        path = tmp_path / name
        with path.open("w") as file:
            file.write("a,b,c\n")
            file.writelines(f"{i},{i * 7919 % 1000003}.5,text number {i}\n" for i in range(rows))
        site.age(path)
    child = [sys.executable, "-c", CHILD, str(site.workspace.home), str(tmp_path)]
    done = subprocess.run(child, capture_output=True, text=True, check=True)
    small, large, peak, rows, limit = json.loads(done.stdout)
    assert (rows, limit) == (700_010, "1.0 GiB")
    assert large < small + MORE
    assert peak > large  # it was more meanwhile
