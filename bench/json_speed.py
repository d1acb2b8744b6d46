"""JSON in and out: `amci drain` of one file, and `amci query --format json`, beside Python and DuckDB."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from amci.app.samples.model import DEVICES, PRODUCTS, seeded
from bench.process import AMCI, Cost, cost, pairs, python

#: Rows that are written over and over, with another date and other figures.
_DRAWN = 20_000
_TABLE = "adtech_big.events"


def json_speed(folder: Path, *, megabytes: int, rows: int, repeat: int) -> list[dict[str, Any]]:
    """Twelve keys flat, and with objects and lists in them: what reading costs, and what writing rows costs."""
    return [*_reading(folder, megabytes, repeat), *_writing(folder, rows, repeat)]


def _reading(folder: Path, megabytes: int, repeat: int) -> list[dict[str, Any]]:
    """The light run alone reports the processor time of its own; the peers are whole processes."""
    found = []
    for shape in ("flat", "nested"):
        source = folder / f"{shape}-{megabytes}.jsonl"
        if not source.exists():
            _write(source, megabytes, nested=shape == "nested")
        loop = f"import json\nfor line in open('{source}', encoding='utf-8'): json.loads(line)"
        copy = f"COPY (FROM read_json('{source}')) TO '{folder}/json.parquet'"
        peers = (
            ("json.loads", loop, 1.5),
            ("DuckDB read_json to Parquet", f"import duckdb; duckdb.execute({copy!r})", 3.0),
        )
        for peer, code, target in peers:
            light: list[float] = []
            pair = pairs(partial(_drained, folder, source, light), partial(python, code, folder), repeat)
            size = source.stat().st_size / 1e6
            found.append(
                {
                    "bench": f"drain {megabytes} MB of {shape} JSON Lines vs {peer}",
                    "light_mb_per_cpu_s": size / median(light),
                    "target_mb_per_cpu_s": 45.0,
                    "drain_cpu_s": median(c.cpu for c in pair.ours),
                    "theirs_cpu_s": median(c.cpu for c in pair.theirs),
                    "theirs_mb_per_cpu_s": size / median(c.cpu for c in pair.theirs),
                    "light_cpu_ratio": median(a / b.cpu for a, b in zip(light, pair.theirs, strict=True)),
                    "target_light_cpu_ratio": target,
                    "ours_mib": max(c.memory for c in pair.ours) / 2**20,
                    "theirs_mib": max(c.memory for c in pair.theirs) / 2**20,
                }
            )
    return found


#: `amci drain` that says how much processor time its light run took.
_LIGHT = """import sys, time
from pathlib import Path
from amci.__main__ import main
from amci.lake.loading.light import LightHandler
handle = LightHandler.handle
def timed(self, runs):
    start = time.process_time()
    try:
        return handle(self, runs)
    finally:
        Path("light").write_text(str(time.process_time() - start))
LightHandler.handle = timed
sys.argv = ["amci", "drain", "--home", "."]
main()
"""


def _drained(folder: Path, source: Path, light: list[float]) -> Cost:
    home = folder / "json"
    _workspace(home, source)
    found = python(_LIGHT, home)
    light.append(float((home / "light").read_text()))
    return found


def _workspace(home: Path, source: Path) -> None:
    shutil.rmtree(home, ignore_errors=True)
    cost([*AMCI, "init", str(home)], home.parent)
    (home / "config" / "datasets" / "big.yaml").parent.mkdir(parents=True, exist_ok=True)
    (home / "config" / "datasets" / "big.yaml").write_text("dataset: big\n")
    target = home / "raw" / "adtech" / "big" / "events" / source.name
    target.parent.mkdir(parents=True)
    target.hardlink_to(source)


def _writing(folder: Path, rows: int, repeat: int) -> list[dict[str, Any]]:
    """All rows of a table, with its two columns of amci's own; what a query without rows costs is taken off."""
    source, home = folder / f"rows-{rows}.jsonl", folder / "json-rows"
    _write(source, rows=rows)
    _workspace(home, source)
    cost([*AMCI, "drain", "--home", str(home)], home)
    query, answer = f"SELECT * FROM {_TABLE}", home / "answer.json"
    cost([*AMCI, "query", query, "--format", "parquet", "--output", str(home / "rows.parquet")], home)
    opening = f"import duckdb; con = duckdb.connect(); rows = con.execute(\"FROM '{home}/rows.parquet'\")\n"
    dumps = (
        "import json\nnames = [each[0] for each in rows.description]\n"
        f"with open('{answer}', 'w') as file:\n    while some := rows.fetchmany(10_000):\n"
        "        file.writelines(json.dumps(dict(zip(names, row)), default=str) + '\\n' for row in some)"
    )
    copy = f"con.execute(\"COPY (FROM '{home}/rows.parquet') TO '{answer}' (FORMAT json, ARRAY true)\")"
    found = []
    for peer, code, target in (("json.dumps", dumps, 0.2), ("DuckDB COPY TO json", copy, 1.0)):
        ours = _less_start([*AMCI, "query", query, "--format", "json", "--output", str(answer)], home)
        pair = pairs(ours, partial(python, opening + code, home), repeat)
        found.append(
            {
                "bench": f"query of {rows} rows in JSON vs {peer}",
                "rows_per_cpu_s": rows / median(c.cpu for c in pair.ours),
                "target_rows_per_cpu_s": 500_000,
                "theirs_rows_per_cpu_s": rows / median(c.cpu for c in pair.theirs),
                "cpu_ratio": pair.cpu_ratio,
                "target_cpu_ratio": target,
                "ours_mib": max(c.memory for c in pair.ours) / 2**20,
            }
        )
    return found


def _less_start(command: list[str], home: Path) -> Callable[[], Cost]:
    """What a query costs beside what any does."""

    def taken() -> Cost:
        start = cost([*AMCI, "query", "SELECT 1", "--format", "json"], home)
        found = cost(command, home)
        return Cost(found.seconds - start.seconds, found.cpu - start.cpu, found.memory)

    return taken


def _write(path: Path, megabytes: int = 0, *, rows: int = 0, nested: bool = False) -> None:
    """JSON Lines of at least that size, or so many rows."""
    rng = seeded(7, path.name)
    kinds = [
        (
            rng.randrange(300),
            rng.choice(PRODUCTS),
            rng.choice((*DEVICES, None)),
            f"{rng.randrange(99_951):05d}",
        )
        for _ in range(_DRAWN)
    ]
    written = count = 0
    with path.open("w", encoding="utf-8") as file:
        while written < megabytes * 1_000_000 or count < rows:
            for campaign, product, device, postal in kinds[: rows - count or None] if rows else kinds:
                row = {
                    "event_date": f"2026-09-{rng.randrange(1, 31):02d}",
                    "impressions": rng.randrange(1, 999_983),
                    "total_cost": rng.randrange(1_000, 9_001_000) / 100_000,
                    "campaign_id": 580_114_690_337_710_021 + campaign * 7_919,
                    "campaign": f"Always on, {campaign:03d}",
                    "ad_product_type": product,
                    "device_type": device,
                    "iso_country_code": rng.choice(("US", "CA", "MX")),
                    "postal_code": postal,
                    "clicks": rng.randrange(900),
                    "purchases": rng.randrange(90) if rng.randrange(10) else None,
                    "is_new_to_brand": rng.random() < 0.5,
                }
                if nested:
                    row = _nested(row)
                written += file.write(json.dumps(row) + "\n")
                count += 1


def _nested(row: dict[str, Any]) -> dict[str, Any]:
    names = ("iso_country_code", "postal_code", "clicks", "purchases")
    country, postal, clicks, purchases = (row.pop(name) for name in names)
    return {
        **row,
        "place": {"country": country, "postal": {"code": postal}},
        "metrics": {"clicks": clicks, "purchases": purchases},
        "tags": ["a", clicks, None],
    }
