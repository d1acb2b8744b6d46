"""Loading: one big file in one partition and in thirty, and ten thousand small files."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from bench.bulk import many_small, one_big
from bench.process import AMCI, Cost, Pair, cost, pairs, python

_BIG_KEY = "blue-kettle/workflow=big/schedule=adhoc/2026-11-01T06:00:00.000Z-big.csv"
_DATASET = "dataset: big\npartition_by: [event_date]\n"


def _workspace(folder: Path, fill: Callable[[Path], None]) -> Path:
    """A new workspace with raw files laid in; nothing is loaded yet."""
    home = folder / "workspace"
    shutil.rmtree(home, ignore_errors=True)
    cost([*AMCI, "init", str(home)], folder)
    fill(home)
    return home


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.hardlink_to(source)


def _drained(home: Path, table: str) -> Cost:
    """Raw to queryable: a whole `amci drain`; what it committed can be asked for, as a query then shows."""
    loading = cost([*AMCI, "drain", "--home", str(home)], home)
    cost([*AMCI, "query", f"SELECT count(*) FROM {table}", "--home", str(home)], home)
    return loading


def _copy(folder: Path, source: str, partition: str) -> Cost:
    shutil.rmtree(folder / "copy", ignore_errors=True)
    copy = f"COPY ({source}) TO '{folder}/copy' (FORMAT parquet, PARTITION_BY ({partition}))"
    return python(f"import duckdb; duckdb.execute({copy!r})", folder)


def _polars(folder: Path, big: Path, key: str) -> Cost:
    shutil.rmtree(folder / "polars", ignore_errors=True)
    constants = "" if key == "event_date" else f".with_columns(pl.lit('x').alias('{key}'))"
    return python(
        f"import polars as pl; pl.scan_csv('{big}'){constants}"
        f".sink_parquet(pl.PartitionBy('{folder}/polars', key='{key}'), mkdir=True)",
        folder,
    )


def _report(name: str, pair: Pair, target: float) -> dict[str, Any]:
    return {
        "bench": name,
        "ours_s": median(c.seconds for c in pair.ours),
        "theirs_s": median(c.seconds for c in pair.theirs),
        "ratio": pair.ratio,
        "target": target,
        "cpu_ratio": pair.cpu_ratio,
        "ours_mib": max(c.memory for c in pair.ours) / 2**20,
        "theirs_mib": max(c.memory for c in pair.theirs) / 2**20,
    }


def one_partition(folder: Path, *, rows: int, repeat: int) -> list[dict[str, Any]]:
    """One CSV that falls into one partition, against DuckDB's single COPY and Polars' partitioned sink."""
    big = _big(folder, rows)
    constant = (
        f"SELECT *, 'x' AS customer_hash, '2026' AS export_year, '11' AS export_month FROM read_csv('{big}')"
    )

    def ours() -> Cost:
        home = _workspace(folder, lambda h: _link(big, h / "raw" / _BIG_KEY))
        return _drained(home, "adtech_amc.blue_kettle_big_adhoc")

    keys = "customer_hash, export_year, export_month"
    return [
        _report(
            "one_partition vs DuckDB COPY", pairs(ours, lambda: _copy(folder, constant, keys), repeat), 1.0
        ),
        _report(
            "one_partition vs Polars sink",
            pairs(ours, lambda: _polars(folder, big, "customer_hash"), repeat),
            2.0,
        ),
    ]


def wide(folder: Path, *, repeat: int) -> list[dict[str, Any]]:
    """A hundred rows of more and more columns, against DuckDB that reads the same CSV to Parquet."""
    found = []
    for columns in (100, 1000, 3000):
        source = folder / f"wide-{columns}.csv"
        header = ",".join(f"c{i}" for i in range(columns))
        rows = (",".join(str(row * i) for i in range(columns)) for row in range(100))
        source.write_text("\n".join((header, *rows)) + "\n")
        copy = f"COPY (FROM read_csv('{source}')) TO '{folder}/wide.parquet'"
        pair = pairs(
            partial(_wide_loaded, folder, source),
            partial(python, f"import duckdb; duckdb.execute({copy!r})", folder),
            repeat,
        )
        found.append(_report(f"wide, {columns} columns vs DuckDB COPY", pair, 8.0))
    return found


def _wide_loaded(folder: Path, source: Path) -> Cost:
    home = _workspace(folder, lambda h: _link(source, h / "raw" / "adtech" / "wide" / "t" / "a.csv"))
    (home / "config" / "datasets").mkdir(parents=True, exist_ok=True)
    (home / "config" / "datasets" / "wide.yaml").write_text("dataset: wide\n")
    return _drained(home, "adtech_wide.t")


def thirty_dates(folder: Path, *, rows: int, repeat: int) -> list[dict[str, Any]]:
    """The same CSV in a table partitioned by its thirty dates."""
    big = _big(folder, rows)

    def fill(home: Path) -> None:
        datasets = home / "config" / "datasets"
        datasets.mkdir(parents=True, exist_ok=True)
        (datasets / "big.yaml").write_text(_DATASET)
        _link(big, home / "raw" / "adtech" / "big" / "events" / "big.csv")

    def ours() -> Cost:
        return _drained(_workspace(folder, fill), "adtech_big.events")

    source = f"SELECT * FROM read_csv('{big}')"
    return [
        _report(
            "thirty_dates vs DuckDB COPY",
            pairs(ours, lambda: _copy(folder, source, "event_date"), repeat),
            1.25,
        ),
        _report(
            "thirty_dates vs Polars sink",
            pairs(ours, lambda: _polars(folder, big, "event_date"), repeat),
            2.0,
        ),
    ]


def small_files(folder: Path, *, files: int, repeat: int) -> list[dict[str, Any]]:
    """Many files of 200 rows, against a loop of one DuckDB COPY per file (a tenth of them, scaled)."""
    source = folder / "small"
    if not source.exists():
        many_small(source, files, 200)
    loop = (
        "import duckdb, pathlib, sys\n"
        f"out = pathlib.Path('{folder}/loop'); out.mkdir(exist_ok=True)\n"
        f"for i, p in enumerate(sorted(pathlib.Path('{source}').rglob('*.csv'))[: {files // 10}]):\n"
        "    duckdb.execute(f\"COPY (SELECT * FROM read_csv('{p}')) TO '{out}/{i}.parquet'\")\n"
    )

    def ours() -> Cost:
        home = _workspace(folder, lambda h: _copy_tree(source, h / "raw"))
        return _drained(home, "adtech_amc.blue_kettle_daily_delivery_adhoc")

    def theirs() -> Cost:
        shutil.rmtree(folder / "loop", ignore_errors=True)
        return python(loop, folder)

    pair = pairs(ours, theirs, repeat)
    per_second = median(files / c.seconds for c in pair.ours)
    their_rate = median(files / 10 / c.seconds for c in pair.theirs)
    return [
        {
            "bench": f"{files} files of 200 rows vs one COPY each",
            "ours_files_per_s": per_second,
            "theirs_files_per_s": their_rate,
            "ratio": per_second / their_rate,
            "target": 12.0,
            "target_files_per_s": 2000,
            # Steadier than the clock on a busy machine.
            "ours_cpu_ms_a_file": median(c.cpu / files * 1000 for c in pair.ours),
            "theirs_cpu_ms_a_file": median(c.cpu / files * 10_000 for c in pair.theirs),
            "ours_mib": max(c.memory for c in pair.ours) / 2**20,
        }
    ]


def _copy_tree(source: Path, target: Path) -> None:
    subprocess.run(["cp", "-al", f"{source}/.", str(target)], check=True)


def _big(folder: Path, rows: int) -> Path:
    path = folder / f"big-{rows}.csv"
    if not path.exists():
        one_big(path, rows)
    return path
