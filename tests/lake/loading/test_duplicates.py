"""Rows that come in two files: counted once if that is certain, told either way, and never missing."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import threading
import zipfile
from typing import Any

import pyarrow as pa
import pytest

from amci.app.engine import Engine
from amci.lake.formats.source import ByteSource
from amci.lake.landing.duplicates import dates_in, plain_name

V = "v\n1\n"


def drained(engine: Engine) -> None:
    engine.drain(threading.Event())


def counted(site: Any, table: str = "adtech_d.t") -> list[Any]:
    return [v for (v,) in site.query(f"SELECT v FROM {table} ORDER BY v")]


def same_as(site: Any) -> dict[str, str]:
    """Files that are duplicates, with the files that count for them."""
    rows = site.state(
        "SELECT o.key, h.key FROM objects o JOIN versions v USING (object_id, version)"
        " JOIN objects h ON h.object_id = v.same_as ORDER BY 1"
    )
    return {key.rpartition("/")[2]: other.rpartition("/")[2] for key, other in rows}


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("report.csv", "report (1).csv", True),
        ("report.csv", "Report - Copy (2).CSV", True),
        ("Copy of report.csv", "report.csv.gz", True),
        ("report.csv", "report.csv.zip", True),
        ("report.csv", "report.zip", True),
        ("report.csv", "report-2.csv", False),
        ("report.csv", "reports.csv", False),
        ("2026-11-01-a.csv", "2026-11-02-a.csv", False),
    ],
)
def test_names_of_copies(one: str, other: str, *, is_same: bool) -> None:
    assert (plain_name(f"x/{one}") == plain_name(f"y/{other}")) is is_same


def test_dates_in_names() -> None:
    assert dates_in("x/2026-11-01-reach.csv") == dates_in("y/reach_20261101.json") == ("20261101",)
    assert dates_in("2026-11-01T06:00:00.000Z-reach.csv") == ("20261101060000000",)
    assert dates_in("report-12345678.csv") == dates_in("2026-11-01/report.csv") == ()


def test_by_default_what_is_certain_counts_once_and_the_rest_is_told(site: Any) -> None:
    site.dataset("d")
    first = site.put("adtech/d/t/report.csv", V)
    draft = site.put("adtech/d/w/draft.csv", V)
    with site.engine() as engine:
        drained(engine)
        for name in ("t/report (1)", "t/other", "t/day-2026-11-01", "t/day-2026-11-02", "u/report"):
            site.put(f"adtech/d/{name}.csv", V)
        draft.rename(draft.with_name("final.csv"))
        drained(engine)
        assert (counted(site), counted(site, "adtech_d.u")) == ([1, 1, 1, 1], [1])
        assert same_as(site) == {"report (1).csv": first.name, "final.csv": "draft.csv"}
        assert sorted(run.reason for run in site.runs() if run.reason) == [
            "same content as adtech/d/t/report.csv, counted once",
            "same content as adtech/d/w/draft.csv, counted once",
        ]
        assert site.state("SELECT o.key, says FROM doubts JOIN objects o USING (object_id)") == [
            ("adtech/d/t/other.csv", "same content as adtech/d/t/report.csv, and both count")
        ]
        # Another file under the first name: the renamed one brings its rows itself.
        site.put("adtech/d/w/draft.csv", "v\n2\n")
        drained(engine)
        assert counted(site, "adtech_d.w") == [1, 2]
        assert list(same_as(site)) == ["report (1).csv"]
        # Another file with the same content does not count for a copy of the first one.
        site.put("adtech/d/t/report.csv", "v\n3\n")
        drained(engine)
        assert (counted(site), same_as(site)) == ([1, 1, 1, 1, 3], {})
        # As an amci left it that noted nothing of this: what it loaded counts all the same.
        engine.state.write("UPDATE versions SET content = NULL, execution = NULL")
        site.put("adtech/d/u/report (3).csv", V)
        drained(engine)
        assert counted(site, "adtech_d.u") == [1]
    check_runs(site)


def test_a_dataset_says_what_becomes_of_duplicates(site: Any) -> None:
    site.dataset("d", duplicates="once")
    site.dataset("e", duplicates="allow")
    for dataset in "de":
        for name in ("a", "b", "c (1)", "c"):
            site.put(f"adtech/{dataset}/t/{name}.csv", V)
    with site.engine() as engine:
        drained(engine)
        told = site.state("SELECT DISTINCT o.dataset, kind FROM doubts JOIN objects o USING (object_id)")
        assert told == [("e", "duplicate")]
        for _ in range(2):
            assert (len(counted(site)), len(counted(site, "adtech_e.t"))) == (1, 4)
            engine.load_again(changed_only=False)
            engine.work(threading.Event())
    site.dataset("d", duplicates="allow")
    site.dataset("e", duplicates="allow", doubt="refuse")
    site.reprocess(changed_only=True)
    assert (len(counted(site)), len(counted(site, "adtech_e.t"))) == (4, 4)
    # What is refused when it is read again stays as it was loaded.
    assert len([key for key in site.quarantined() if key.startswith("adtech/e/")]) == 3


def test_who_stands_by_takes_over_and_rows_are_never_missing(
    site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.dataset("d", duplicates="once")
    site.dataset("e", duplicates="once", heavy="picky")
    site.transform(
        "picky.py",
        "def picky(obj, rows):\n    if obj.key.endswith('a.csv'):\n        raise ValueError\n    return rows\n",
    )
    for name in "abc":
        site.put(f"adtech/d/t/{name}.csv", V)
    site.put("adtech/e/t/b.csv", "v\n5\n")
    with site.engine() as engine:
        drained(engine)
        (first,) = {"a.csv", "b.csv", "c.csv"} - same_as(site).keys()
        site.put(f"adtech/d/t/{first}", "v\n2\n")
        # The holder fails in its heavy run; the other one's own older rows go.
        site.put("adtech/e/t/a.csv", V)
        site.put("adtech/e/t/b.csv", V)
        # The process dies before those that stand by are told.
        monkeypatch.setattr(type(engine.ingest), "take_over", lambda *_: 0)
        drained(engine)
        assert counted(site) == [1, 2], "the rows stay until another file brings them"
        monkeypatch.undo()
        drained(engine)
        assert counted(site) == [1, 2]
        (second,) = {"a.csv", "b.csv", "c.csv"} - {first} - same_as(site).keys()
        names = [key for key, _, _ in site.ledger()]
        assert names == sorted(f"adtech/{key}" for key in (f"d/t/{first}", f"d/t/{second}", "e/t/b.csv"))
        assert counted(site, "adtech_e.t") == [1]
        # The one that counts now gets the content of the first, and the last one has none to stand by for.
        site.put(f"adtech/d/t/{second}", "v\n2\n")
        drained(engine)
        assert counted(site) == [1, 2]
        assert same_as(site)[second] == first
    check_runs(site, failed=1)


def check_runs(site: Any, *, failed: int = 0) -> None:
    left = [run.status for run in site.runs() if run.status not in ("SUCCEEDED", "SKIPPED")]
    assert left == ["FAILED"] * failed


def test_executions_and_columns_tell_files_apart_or_not(site: Any) -> None:
    site.dataset("d", timestamp_column="at")
    site.dataset("e", heavy="named")
    site.transform("named.py", "def named(obj, rows):\n    return rows\n")
    first = site.put("adtech/d/t/a.csv", V)
    second = site.put("adtech/e/t/de.csv", V)
    key = "acme/workflow=reach/schedule=daily/2026-11-01T06:00:00.000Z-reach-1a2b3c4d.csv"
    own = site.put(key, "users\n7\n")
    note = {"workflow_execution_id": "1a2b3c4d-0000", "time_window_start": "2026-10-31T00:00:00Z"}
    own.with_name(f".{own.name}.meta.json").write_text(json.dumps(note), encoding="utf-8")
    with site.engine() as engine:
        drained(engine)
        # A column has the time of the file, or a transform may use its name.
        site.put("adtech/d/t/a (1).csv", V)
        os.utime(site.put("adtech/d/t/a (2).csv", V), ns=(0, first.stat().st_mtime_ns))
        second.rename(second.with_name("fr.csv"))
        # AMC's own delivery has other bytes, another schedule and its own note; and another day the same numbers.
        folder = "acme/workflow=reach/schedule=adhoc"
        delivered = site.put(f"{folder}/2026-11-01T06:05:00.000Z-reach.csv", "users\r\n7\r\n")
        about = delivered.parent / "metadata" / f"{delivered.stem}.json"
        about.parent.mkdir()
        about.write_text(json.dumps({"workflowExecutionId": "1a2b3c4d-0000"}), encoding="utf-8")
        site.put(f"{folder}/2026-11-02T06:05:00.000Z-reach.csv", "users\n7\n")
        drained(engine)
    assert (counted(site), counted(site, "adtech_e.t")) == ([1, 1], [1, 1])
    assert same_as(site) == {"a (2).csv": "a.csv", delivered.name: own.name}
    assert f"same execution as {key}, counted once" in {run.reason for run in site.runs(kind="light")}
    assert {k for (k,) in site.state("SELECT key FROM doubts JOIN objects USING (object_id)")} == {
        "adtech/d/t/a (1).csv", "adtech/e/t/fr.csv"
    }  # fmt: skip


def test_what_is_inside_of_a_compressed_file_counts(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    site.dataset("d")
    site.dataset("e", duplicates="once")
    packed, archive = gzip.compress(V.encode()), io.BytesIO()
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("inside.csv", V)
    first = site.put("adtech/d/t/r.csv", V)
    with site.engine() as engine, monkeypatch.context() as earlier:
        earlier.setattr(ByteSource, "content_sha256", ByteSource.sha256)
        site.put("adtech/d/v/r.csv.gz", packed)
        drained(engine)
        first.unlink()  # as `gzip r.csv` does
        site.put("adtech/d/t/r.csv.gz", packed)
        drained(engine)
        assert counted(site) == [1, 1]  # as it was
        engine.state.write("UPDATE versions SET content = NULL WHERE object_id = 1")
        earlier.undo()
        site.put("adtech/d/t/r.csv.gz", gzip.compress(V.encode(), 1))
        site.put("adtech/d/v/r (1).csv.gz", packed)
        site.put("adtech/d/u/a.csv", V)
        site.put("adtech/d/u/a.csv.gz", packed)
        site.put("adtech/d/u/a.csv.zip", archive.getvalue())
        site.put("adtech/d/u/b-2026-11-01.csv.gz", packed)
        site.put("adtech/e/t/a.csv", V)
        site.put("adtech/e/t/b.csv.zst", pa.compress(V.encode(), "zstd", asbytes=True))
        drained(engine)
        assert [counted(site, f"adtech_d.{table}") for table in "tuv"] == [[1], [1, 1], [1]]
        assert counted(site, "adtech_e.t") == [1]
        assert same_as(site) == {
            "r.csv.gz": "r.csv", "r (1).csv.gz": "r.csv.gz", "a.csv.gz": "a.csv", "a.csv.zip": "a.csv",
            "b.csv.zst": "a.csv",
        }  # fmt: skip
        assert site.state("SELECT count(*) FROM doubts") == [(0,)]
        # What identifies the bytes of a file is their own hash.
        own = site.state(
            "SELECT sha256 FROM versions JOIN objects USING (object_id) WHERE key = 'adtech/d/u/a.csv.gz'"
        )
        assert own == [(hashlib.sha256(packed).hexdigest(),)]
        # If the plain file is replaced, a packed one brings its rows.
        site.put("adtech/d/u/a.csv", "v\n2\n")
        drained(engine)
        assert counted(site, "adtech_d.u") == [1, 1, 2]
    check_runs(site)
