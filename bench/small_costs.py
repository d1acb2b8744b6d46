"""What is felt at the keyboard and in the queue: latency, claims, start-up."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from amci.kernel.clock import SystemClock
from amci.kernel.run import NewRun
from amci.kernel.runs import RunStore
from amci.kernel.state import State
from bench.bulk import many_small
from bench.process import AMCI, cost, pairs, python


def latency(folder: Path, *, files: int) -> list[dict[str, Any]]:
    """One small file landed to queryable, with `amci up` running and the default settle time.

    Each file is written (not renamed) into place, so the settle time counts; then the ledger is asked until it
    has the object. The share of settling is the configured time.
    """
    home = folder / "latency"
    subprocess.run(["rm", "-rf", str(home)], check=True)
    cost([*AMCI, "init", str(home)], folder)
    with tempfile.TemporaryDirectory(dir=folder) as samples:
        many_small(Path(samples), files, 200)
        sources = sorted(p for p in Path(samples).rglob("*.csv"))
        with subprocess.Popen(
            [*AMCI, "up", "--home", str(home)], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
        ) as up:
            assert up.stderr is not None
            up.stderr.readline()
            taken = [_until_loaded(home, source, Path(samples), up) for source in sources]
            up.send_signal(signal.SIGTERM)
            up.stderr.read()
    return [
        {
            "bench": "landed to queryable, one small file at a time",
            "median_s": median(taken),
            "p90_s": quantiles(taken, n=10)[-1],
            "target_s": 1.0,
            "of_it_settling_s": 0.5,
            "files": files,
        }
    ]


def _until_loaded(home: Path, source: Path, base: Path, up: subprocess.Popen[bytes]) -> float:
    """Seconds from the end of writing to the moment `amci up` says that the heavy run has committed."""
    target = home / "raw" / source.relative_to(base)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(source.read_bytes())
    start = time.perf_counter()
    assert up.stderr is not None
    for line in up.stderr:
        if b" heavy succeeded" in line:
            break
    return time.perf_counter() - start


def claims(folder: Path, *, pending: int) -> list[dict[str, Any]]:
    """Claiming from a queue of 100,000 pending runs of fifty tenants."""
    path = folder / "claims.db"
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    clock = SystemClock()
    with State.open(path, clock) as state:
        store = RunStore(state, clock)
        start = time.perf_counter()
        store.create(
            NewRun(
                idempotency_key=f"k{i}",
                kind="light",
                tenant_id=f"t{i % 50}",
                lock_key=f"object:{i}",
                batch_key="amc",
            )
            for i in range(pending)
        )
        creating = time.perf_counter() - start
        rates = {}
        for batch, rounds in ((1, 2000), (1000, 20)):
            start = time.perf_counter()
            taken = sum(
                len(store.claim(["light"], "bench", timedelta(minutes=1), batch)) for _ in range(rounds)
            )
            rates[batch] = taken / (time.perf_counter() - start)
    return [
        {
            "bench": f"claims/s with {pending} pending",
            "in_batches_of_1000": rates[1000],
            "one_by_one": rates[1],
            "created_per_s": pending / creating,
            "target": 5000,
        }
    ]


def start_up(folder: Path, *, repeat: int) -> list[dict[str, Any]]:
    """Short commands beside Python processes that do as much as they have to; all in turn, in one run."""
    home = folder / "start"
    subprocess.run(["rm", "-rf", str(home)], check=True)
    cost([*AMCI, "init", str(home)], folder)
    many_small(home / "raw", 5, 10)
    cost([*AMCI, "drain", "--home", str(home)], folder)
    script = str(Path(sys.executable).parent / "amci")

    def compared(words: list[str], what: str, code: str, *, target: float | None = None) -> dict[str, Any]:
        pair = pairs(lambda: cost([script, *words], home), lambda: python(code, home), repeat)
        return {
            "bench": f"amci {' '.join(words)} vs {what}",
            "ours_s": median(c.seconds for c in pair.ours),
            "theirs_s": median(c.seconds for c in pair.theirs),
            "ratio": pair.ratio,
            "cpu_ratio": pair.cpu_ratio,
            **({"target": target} if target else {"target_s": 0.25}),
        }

    query = "config/workflows/campaign_reach.sql"
    return [
        compared(["--help"], "importing typer", "import typer", target=1.5),
        compared(["status"], "a typer command that does nothing", _TYPER),
        compared(["query", "select 1"], "importing duckdb and attaching the lake", _ATTACH, target=1.5),
        compared(
            ["sql", "check", query], "a typer command that imports sqlglot", f"import sqlglot\n{_TYPER}"
        ),
    ]


#: The least a command has: an option for the workspace, one for JSON.
_TYPER = """import typer
from pathlib import Path
def main(home: Path | None = None, json: bool = False) -> None:
    print(home)
typer.run(main)
"""
#: The least a process has to do to ask the lake something.
_ATTACH = """import duckdb  # and attach the lake
from importlib.util import find_spec
con = duckdb.connect()
for name in ("ducklake", "sqlite_scanner"):
    folder = find_spec(f"duckdb_extension_{name}").submodule_search_locations[0]
    con.execute(f"LOAD '{folder}/extensions/v{duckdb.__version__}/{name}.duckdb_extension'")
con.execute("ATTACH 'ducklake:sqlite:state/catalog.db' AS lake"
            " (READ_ONLY, DATA_PATH 'stage/post-stage/', OVERRIDE_DATA_PATH true)")
print(con.execute("SELECT 1").fetchall())
"""
