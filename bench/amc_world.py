"""Making the sandbox's events, beside a plain COPY of random values into as many rows and columns of two tables."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb

from amci.amcsql.sources import Column, sources
from amci.kernel.names import literal, quoted
from amci.sandbox.data.world import World
from bench.amc_library import LAST
from bench.process import Cost, python

_SECONDS, _MEMORY = 60.0, 2048.0  #: targets at scale 1 and 30 days: seconds, and MiB at any scale
#: AMC's tables that the plain way writes → the files of the world that hold as many rows.
_TABLES = {"dsp_impressions": "dsp", "sponsored_ads_traffic": "ads"}
_RANDOM = {
    "BIGINT": "CAST(random() * 1000000 AS BIGINT)",
    "INTEGER": "CAST(random() * 1000 AS INTEGER)",
    "DOUBLE": "random()",
    "DECIMAL(38,4)": "CAST(random() * 100 AS DECIMAL(38,4))",
    "BOOLEAN": "random() < 0.5",
    "DATE": "DATE '{first}' + CAST(random() * {days} AS INTEGER)",
    "TIMESTAMP": "TIMESTAMP '{first}' + to_seconds(random() * {days} * 86400)",
    "BIGINT[]": "[CAST(random() * 1000 AS BIGINT)]",
    "INTEGER[]": "[CAST(random() * 1000 AS INTEGER)]",
}


def making(folder: Path, *, scale: float, days: int) -> list[dict[str, Any]]:
    """All tables of a world, made by a process of its own; they stay for the bench of queries."""
    world = World(directory=folder / "world", seed=1, scale=scale, days=days)
    shutil.rmtree(world.folder, ignore_errors=True)
    ours = python(
        "from datetime import date\n"
        "from pathlib import Path\n"
        "from amci.sandbox.data.world import World\n"
        f"world = World(directory=Path({str(world.directory)!r}), seed=1, scale={scale}, days={days})\n"
        f"world.prepare(date.fromisoformat('{LAST}'))",
        folder,
    )
    rows = {path.name: _rows(path) for path in world.folder.iterdir()}
    theirs = _plain(folder, {name: rows[file] for name, file in _TABLES.items()}, days)
    their_rows = sum(rows[file] for file in _TABLES.values())
    return [
        {
            "bench": f"events of scale {scale:g}, {days} days, vs COPY of random values to two of the tables",
            "ours_s": ours.seconds,
            "target_s": _SECONDS * scale * days / 30,
            "ours_mib": ours.memory / 2**20,
            "target_mib": _MEMORY,
            "ours_cpu_s": ours.cpu,
            "ours_rows": sum(rows.values()),
            "ours_rows_per_s": sum(rows.values()) / ours.seconds,
            "ours_disk_mib": _size(world.folder),
            "theirs_s": theirs.seconds,
            "theirs_mib": theirs.memory / 2**20,
            "theirs_cpu_s": theirs.cpu,
            "theirs_rows": their_rows,
            "theirs_rows_per_s": their_rows / theirs.seconds,
            "theirs_disk_mib": _size(folder / "random"),
            "ratio": ours.seconds / theirs.seconds,
            "ratio_per_row": ours.seconds / theirs.seconds * their_rows / sum(rows.values()),
        }
    ]


def _plain(folder: Path, rows: dict[str, int], days: int) -> Cost:
    """What a user would run who only needs something in the tables."""
    there = folder / "random"
    shutil.rmtree(there, ignore_errors=True)
    there.mkdir()
    statements = [_copy(name, count, days, there / f"{name}.parquet") for name, count in rows.items()]
    return python(f"import duckdb\nfor sql in {statements!r}: duckdb.execute(sql)", folder)


def _copy(name: str, rows: int, days: int, path: Path) -> str:
    columns = ", ".join(f"{_random(c, days)} AS {quoted(c.name)}" for c in sources()[name].columns)
    return f"COPY (SELECT {columns} FROM range({rows})) TO {literal(str(path))} (FORMAT parquet, COMPRESSION zstd)"


def _random(column: Column, days: int) -> str:
    """Texts have a thousand different values, as most of AMC's have fewer and some have many more."""
    text = f"concat({literal(f'{column.name} ')}, CAST(random() * 1000 AS INTEGER))"
    return _RANDOM.get(column.sql_type, text).format(first=LAST - timedelta(days=days - 1), days=days)


def _rows(folder: Path) -> int:
    (rows,) = duckdb.execute(
        "SELECT sum(num_rows) FROM parquet_file_metadata(?)", [f"{folder}/*.parquet"]
    ).fetchall()[0]
    return int(rows)


def _size(folder: Path) -> float:
    """MiB of its files."""
    return sum(path.stat().st_size for path in folder.rglob("*.parquet")) / 2**20
