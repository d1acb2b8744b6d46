"""Small objects read together: state, lake and messages are what they are if each is read alone."""

from __future__ import annotations

import itertools
import json
import os
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amci.kernel.files import bounded_bytes
from amci.lake.formats.csv_reader import csv_batches
from amci.lake.loading import joint_reader, light

PLAIN = "day,units,price,note\n"
#: What is not as plain as can be, beside files that are.
BODIES = {
    "quotes": '2026-11-01,1,2.5,"a, b"\n2026-11-02,2,3.5,"say ""hi"""\n2026-11-03,3,,"two\nlines"\n',
    "empty": "2026-11-01,,,\n2026-11-02,,,\n,,,\n",
    "thousands": '2026-11-01,"1.234","1.234,5",-\n',
    "points": "2026-11-01,1.234,12.345,x\n2026-11-02,2.345,1.5,y\n",
    "dates": "01.11.2026,1,2.5,x\n02.11.2026,2,2.5,y\n",
    "blanks": " 2026-11-01 , 1 ,2.5,x\n",
    "formulas": '="007",1,2.5,"=""008"""\n',
    "no value": "n/a,n/a,-,x\n2026-11-01,1,2.5,null\n",
    "ragged": "2026-11-01,1,2.5,x\n2026-11-02,1,2.5\n",
    "open": '2026-11-01,1,2.5,"x\n2026-11-02,1,2.5,y\n',
    "stray": '2026-11-01,1,2.5,"x"y\n',
    "cut": "2026-11-01,1,2.5,x\n2026-11-0",
    "nul": "2026-11-01,1,2.5,\0\n",
    "latin": "2026-11-01,1,2.5,größe\n".encode("latin-1"),
    "words": "2026-11-01,a,b,größe\n",
    "total": "2026-11-01,1,2.5,x\nTotal,1,2.5,x\n",
    "again": "2026-11-01,1,2.5,x\nday,units,price,note\n",
    "header alone": "",
    "escapes": '2026-11-01,1,2.5,"a \\"b\\""\n',
    "true": "2026-11-01,1,2.5,true\n2026-11-02,1,2.5,TRUE\n",
}


OTHERS = (
    "sku,title\n1,x\n",
    "day;units\n1;2\n",
    "Day,Units,Price,Note\n2026-11-01,1,2,x\n",
    "\ufeffday,units\n1,2\n",
)


def _fill(site: Any) -> None:
    def put(key: str, content: str | bytes) -> None:
        path = site.put(key, content)
        os.utime(path, (1.7e9, 1.7e9))

    site.dataset("own", pattern="'{team}/{dataset}/{table}/{file}'", skip_if_all="note")
    for n in range(12):
        rows = "".join(f"2026-11-{k:02},{n * k},{k}.{n}5,x{n}\n" for k in range(1, 29))
        put(f"adtech/own/t/{n:02}.csv", PLAIN + rows)
        put(f"blue-kettle/workflow=reach/schedule=daily/2026-11-{n + 1:02}-reach-ver1.csv", PLAIN + rows)
    put("adtech/own/t/03 (1).csv", (site.raw / "adtech/own/t/03.csv").read_bytes())
    for header in OTHERS:
        put(f"adtech/own/t/other{header[:3]!r}.csv", header)
    for name, body in BODIES.items():
        text = PLAIN.encode() + (body if isinstance(body, bytes) else body.encode())
        for table in ("t", "u"):
            put(f"adtech/own/{table}/{name}.csv", text)
    note = {"workflow_execution_id": "e-1", "output_columns": [{"name": "units", "dataType": "LONG"}]}
    for folder in ("adtech/own/t", "blue-kettle/workflow=reach/schedule=daily"):
        put(f"{folder}/.02.csv.meta.json", json.dumps(note))


def _all_of(site: Any) -> dict[str, object]:
    """What the state and the lake have of it."""
    state = {
        "runs": "SELECT idempotency_key, kind, status, reason, payload, result, batch_key FROM runs ORDER BY run_id",
        "versions": "SELECT object_id, version, sha256, probe, content, execution, same_as, rules_hash FROM versions"
        " ORDER BY 1, 2",
        "doubts": "SELECT object_id, version, stage, kind, column_name, says, hint, line FROM doubts"
        " ORDER BY 1, 3, 4, 5",
        "quarantine": "SELECT object_id, version, stage, reason, hint, line, rows FROM quarantine ORDER BY 1, 3",
    }
    tables = {name: sorted(map(repr, site.query(f"SELECT * FROM {name}"))) for name in site.tables()}
    return {name: site.state(sql) for name, sql in state.items()} | tables


@pytest.fixture
def read_alone(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts the files that the reader of single files reads."""
    counted = [0]

    def counting(*given: Any, **more: Any) -> Any:
        counted[0] += 1
        return csv_batches(*given, **more)

    monkeypatch.setattr("amci.lake.formats.reading.csv_batches", counting)
    return counted


def test_what_is_read_together_becomes_what_each_becomes_alone(
    site_of: Callable[[Path], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_alone: list[int]
) -> None:
    together, alone = (site_of(tmp_path / name) for name in ("together", "alone"))
    for site in (together, alone):
        _fill(site)
    together.drain()
    counted, read_alone[0] = read_alone[0], 0
    monkeypatch.setattr(light, "joint_batches", lambda routed: ([each] for each in routed))
    alone.drain()
    assert counted < read_alone[0]
    expected = _all_of(alone)
    for name, found in _all_of(together).items():
        assert found == expected.pop(name), name
    assert not expected


def test_plain_files_of_a_burst_are_read_together(site: Any, read_alone: list[int]) -> None:
    site.dataset("own", pattern="'{team}/{dataset}/{table}/{file}'")
    for n in range(50):
        site.put(f"adtech/own/t/{n}.csv", f"day,units\n2026-11-01,{n}\n")
    site.drain()
    assert read_alone == [0]
    assert site.query("SELECT count(*), sum(units) FROM adtech_own.t") == [(50, 49 * 25)]


def test_a_file_that_changes_while_it_is_read_is_left_to_its_next_version(
    site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.dataset("own", pattern="'{team}/{dataset}/{table}/{file}'")
    paths = [site.put(f"adtech/own/t/{n}.csv", f"day,units\n2026-11-01,{n}\n") for n in range(3)]
    changed = []

    def reading(path: Path, most: int) -> bytes:
        content = bounded_bytes(path, most)
        if path == paths[1] and not changed:
            changed.append(paths[1])
            paths[1].write_bytes(b"day,units\n2026-11-01,9\n")
            site.age(paths[1])
        return content

    monkeypatch.setattr(joint_reader, "bounded_bytes", reading)
    site.drain()
    site.drain()
    assert changed
    assert site.query("SELECT units FROM adtech_own.t ORDER BY units") == [(0,), (2,), (9,)]


def test_a_burst_of_files_takes_no_more_statements_than_a_few(site: Any) -> None:
    site.dataset("own", pattern="'{team}/{dataset}/{table}/{file}'")

    def statements(table: str, files: int) -> Counter[str]:
        for n in range(files):
            # With a doubt about each file, and a copy of each.
            for key in (f"{n}.csv", f"{n} (1).csv"):
                site.put(f"adtech/own/{table}/{key}", f'day,units\n2026-11-01,"{n}.234,5"\n')
        executed: list[str] = []
        with site.engine() as engine:
            with engine.state.transaction() as connection:
                connection.set_trace_callback(executed.append)
            engine.drain(threading.Event())
        # What a trigger does is told as the statement that fires it.
        return Counter(sql[:60] for sql, _ in itertools.groupby(executed))

    few, many = statements("few", 5), statements("many", 120)
    assert few.total() > 20
    # Threads may look for work a few times more; a hundred runs are created by a statement.
    assert {sql: count for sql, count in many.items() if count > few[sql] + 20} == {}
