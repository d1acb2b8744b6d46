"""`amci lake forget`: what it takes out, what comes instead, and what brings it back; as a command, in this process."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from typer.testing import CliRunner

from amci.app.engine import Engine
from amci.cli.app import app
from amci.kernel.errors import NotFound, UsageError
from amci.lake.loading.forgetting import forget

V = "v\n1\n"


def amci(site: Any, *words: str) -> Any:
    home = str(site.workspace.home)
    done = CliRunner().invoke(app, ["lake", *words, "--json", "--home", home], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def drained(engine: Engine) -> None:
    engine.drain(threading.Event())


def test_a_forgotten_file_comes_back_only_if_it_changes_or_is_asked_for(site: Any) -> None:
    site.dataset("d", on_new_version="append")
    site.put("adtech/d/t/a.csv", V)
    site.put("adtech/d/t/b.csv", "v\n5\n")
    with site.engine() as engine:
        drained(engine)
        path = site.put("adtech/d/t/a.csv", "v\n2\n")
        drained(engine)
    found = amci(site, "forget", "a.csv", "--dry-run")
    assert [(row["version"], row["rows"], row["table"]) for row in found] == [
        (1, 1, "adtech_d.t"), (2, 1, "adtech_d.t")
    ]  # fmt: skip
    assert site.query("SELECT sum(v) FROM adtech_d.t") == [(8,)]
    report = amci(site, "forget", "a.csv")
    assert (report["files"], report["rows"], report["tables"]) == (1, 2, 1)
    assert {row["key"]: row["outcome"] for row in amci(site, "files")} == {
        "adtech/d/t/a.csv": "forgotten", "adtech/d/t/b.csv": "loaded"
    }  # fmt: skip
    assert amci(site, "history", "a.csv")["objects"][0]["forgotten_at"]
    with site.engine() as engine:
        # Neither a look at what did not change, nor loading everything again, brings it back.
        path.chmod(0o640)
        drained(engine)
        engine.load_again(changed_only=False)
        engine.work(threading.Event())
        assert site.query("SELECT v FROM adtech_d.t") == [(5,)]
        engine.load_again(changed_only=False, names=["a.csv"])
        engine.work(threading.Event())
        assert site.query("SELECT v FROM adtech_d.t ORDER BY v") == [(2,), (5,)]
        forget(engine.state, engine.runs, engine.clock, engine.objects.find("a.csv"))
        engine.work(threading.Event())
        assert site.query("SELECT v FROM adtech_d.t") == [(5,)]
        site.age(path)
        drained(engine)
        assert site.query("SELECT v FROM adtech_d.t ORDER BY v") == [(2,), (5,)]


def test_what_is_gone_goes_and_who_stood_by_takes_over(site: Any) -> None:
    site.dataset("d")
    site.dataset("e", heavy="named")
    site.transform("named.py", "def named(obj, rows):\n    return rows\n")
    draft, lost, other = (
        site.put(f"adtech/{name}.csv", V) for name in ("d/t/draft", "d/u/lost", "e/t/other")
    )
    site.put("adtech/d/t/kept.csv", "v\n7\n")
    site.put("adtech/d/t/twin.csv", V)  # counts beside the others, and for none of them
    with site.engine() as engine:
        drained(engine)
        draft.rename(draft.with_name("final.csv"))
        lost.unlink()
        other.unlink()
        drained(engine)
    shown = amci(site, "show", "adtech_d.t")["objects"]
    assert {row["key"]: (bool(row["removed_at"]), row["also"]) for row in shown} == {
        "adtech/d/t/draft.csv": (True, ["adtech/d/t/final.csv"]), "adtech/d/t/kept.csv": (False, []),
        "adtech/d/t/twin.csv": (False, [])
    }  # fmt: skip
    assert [
        (row["outcome"], row["reason"]) for row in amci(site, "files") if row["key"].endswith("final.csv")
    ] == [("duplicate", "same rows as adtech/d/t/draft.csv, counted once")]
    found = amci(site, "forget", "--gone", "--dataset", "d", "--dry-run")
    assert {row["key"]: row["taken_over_by"] for row in found} == {
        "adtech/d/t/draft.csv": "adtech/d/t/final.csv", "adtech/d/u/lost.csv": ""
    }  # fmt: skip
    assert amci(site, "forget", "--gone", "--dataset", "d")["rows"] == 1
    assert {key.rpartition("/")[2] for key, _, _ in site.ledger()} == {
        "final.csv", "kept.csv", "other.csv", "twin.csv"
    }  # fmt: skip
    assert site.query("SELECT v FROM adtech_d.t ORDER BY v") == [(1,), (1,), (7,)]
    # Its dataset is not there any more, and its tables have to be rid of it all the same.
    (site.workspace.config / "datasets/e.yaml").unlink()
    amci(site, "forget", "other.csv")
    assert "other.csv" not in {key.rpartition("/")[2] for key, _, _ in site.ledger()}
    assert amci(site, "forget", "--gone", "--dry-run") == []


def test_what_cannot_be_meant_is_refused(site: Any) -> None:
    site.dataset("d")
    for table in "tu":
        site.put(f"adtech/d/{table}/a.csv", V)
    with site.engine() as engine:
        engine.ingest.look_everywhere()
    for words, error in (
        ((), UsageError),
        (("a.csv", "--gone"), UsageError),
        (("a.csv", "--dataset", "d"), UsageError),
        (("--gone", "--dataset", "x"), NotFound),
        (("a.csv",), UsageError),
        (("b.csv",), NotFound),
    ):
        with pytest.raises(error):
            amci(site, "forget", *words)
    assert not site.runs(kind="heavy")


def test_loads_that_wait_are_forgotten_as_well(site: Any) -> None:
    site.dataset("d")
    site.put("adtech/d/t/a.csv", V)
    with site.engine() as engine:
        engine.ingest.look_everywhere()
        engine.state.write("UPDATE objects SET forgotten_at = '2026-11-29'")
        engine.work(threading.Event())
    (run,) = site.runs()
    assert (run.kind, run.status) == ("light", "SKIPPED")
