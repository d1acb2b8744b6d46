"""A state file and a catalog that do not belong together are refused, and `recover` brings them together."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from amci.app.doctor import examine
from amci.app.engine import open_engine
from amci.app.recover import recover
from amci.kernel.errors import LakeMismatch
from amci.lake.catalog import pairing
from amci.lake.loading.reprocess import Reprocess

REACH = "acme/workflow=reach/schedule=daily/2026-09-"
Halves = dict[str, bytes | None]


def first(site: Any) -> None:
    site.put(f"{REACH}21-reach-ver1.csv", "user,cost\nu1,1\nu2,2\n")
    site.put(f"{REACH}22-reach-ver1.csv", "user,cost\nu3,3\n")


def second(site: Any) -> None:
    """A new file, one that is replaced, and one with other columns."""
    site.put(f"{REACH}22-reach-ver1.csv", "user,cost\nu3,3.5\nu9,9\n")
    site.put(f"{REACH}23-reach-ver1.csv", "user,cost\nu4,4\n")
    site.put("adtech/orders/lines/a.csv", "id,amount\n1,10\n")


def halves(site: Any) -> Halves:
    """The two files, whole."""
    found: Halves = {}
    for path in (site.workspace.state, site.workspace.catalog):
        copy = path.with_suffix(".copy")
        with closing(sqlite3.connect(path)) as db, closing(sqlite3.connect(copy)) as target:
            db.backup(target)
        found[path.name] = copy.read_bytes()
        copy.unlink()
    return found


def put_back(site: Any, state: bytes | None, catalog: bytes | None) -> None:
    for path, content in ((site.workspace.state, state), (site.workspace.catalog, catalog)):
        for suffix in ("", "-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)


def rows(site: Any) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables, with the key of their file in place of its number."""
    return {
        name: site.query(
            f"SELECT o.key, t.* EXCLUDE (_object_id, _version) FROM {name} t"
            " JOIN (SELECT DISTINCT object_id, key FROM amci.objects) o ON o.object_id = t._object_id ORDER BY ALL"
        )
        for name in site.tables()
    }


def recovered(site: Any) -> Counter[str]:
    """Recover and process what is queued: how many object versions came to which end."""
    with open_engine(site.workspace, site.clock, {}, is_checked=False) as engine:
        found = recover(engine)
        engine.work(threading.Event())
    return Counter(each.fate for each in found)


@pytest.fixture
def loaded(site: Any) -> tuple[Any, Halves, Halves]:
    """A workspace after two deliveries, and the two files after each."""
    site.dataset("orders")
    first(site)
    site.drain()
    before = halves(site)
    second(site)
    site.drain()
    return site, before, halves(site)


#: State, catalog (of the first or second delivery, `empty` or `none`): what is said, and how recovery ends.
PAIRS = {
    ("first", "second"): ("state file is older", {"entered": 3}),
    ("second", "first"): ("catalog is older", {"raw": 3}),
    ("none", "second"): ("state file is lost or older", {"entered": 4}),
    ("second", "none"): ("catalog.db is lost or empty", {"raw": 4}),
    ("second", "empty"): ("catalog.db is lost or empty", {"raw": 4}),
}


@pytest.mark.spread(3)
@pytest.mark.parametrize(("state", "catalog"), PAIRS)
def test_a_pair_that_does_not_match_is_refused_and_recovered(
    loaded: tuple[Any, Halves, Halves], state: str, catalog: str
) -> None:
    site, *deliveries = loaded
    expected = rows(site)
    contents = dict(zip(("first", "second"), deliveries, strict=True))
    empty = {"amci.db": b"", "catalog.db": b""}
    none = {"amci.db": None, "catalog.db": None}
    of: dict[str, Any] = contents | {"empty": empty, "none": none}
    put_back(site, of[state]["amci.db"], of[catalog]["catalog.db"])
    says, fates = PAIRS[state, catalog]
    with pytest.raises(LakeMismatch, match=says) as refused:
        site.drain()
    assert "amci recover" in refused.value.hint
    assert any(says in finding.what for finding in examine(site.workspace, site.clock, {}))
    assert recovered(site) == fates
    assert rows(site) == expected
    site.drain()
    assert rows(site) == expected
    assert recovered(site) == {}


def test_a_column_that_becomes_text_takes_no_rows_out_that_only_the_catalog_knew(
    loaded: tuple[Any, Halves, Halves],
) -> None:
    site, _, newest = loaded
    put_back(site, None, newest["catalog.db"])
    recovered(site)
    site.put("adtech/orders/lines/b.csv", "id,amount\n2,unknown\n")
    site.drain()
    assert site.query("SELECT id, amount FROM adtech_orders.lines ORDER BY id") == [(1, "10"), (2, "unknown")]


def test_an_id_is_not_given_again(loaded: tuple[Any, Halves, Halves]) -> None:
    site, before, after = loaded
    put_back(site, before["amci.db"], after["catalog.db"])
    recovered(site)
    known = {run for (run,) in site.query("SELECT run_id FROM amci.objects")}
    site.put(f"{REACH}24-reach-ver1.csv", "user,cost\nu5,5\n")
    site.drain()
    fresh = site.query(f"SELECT object_id, run_id FROM amci.objects WHERE key = '{REACH}24-reach-ver1.csv'")
    assert fresh[0][1] > max(known)
    assert len(site.ledger()) == 5


@pytest.mark.parametrize("gone", ["raw", "raw and pre-stage"])
def test_what_cannot_be_loaded_again_from_raw_comes_from_pre_stage_or_is_called_lost(
    loaded: tuple[Any, Halves, Halves], gone: str
) -> None:
    site, _, after = loaded
    expected = rows(site)
    shutil.rmtree(site.raw)
    site.raw.mkdir()
    if gone != "raw":
        shutil.rmtree(site.workspace.pre_stage)
    put_back(site, after["amci.db"], None)
    assert recovered(site) == ({"pre-stage": 4} if gone == "raw" else {"lost": 4})
    assert rows(site) == (expected if gone == "raw" else {})


def test_versions_that_are_kept_beside_each_other_all_come_back(site: Any) -> None:
    site.dataset("orders", on_new_version="append")
    for n in (1, 2, 3):
        site.put("adtech/orders/lines/a.csv", f"id,amount\n{n},10\n")
        site.drain()
    expected = rows(site)
    put_back(site, halves(site)["amci.db"], None)
    assert recovered(site) == {"raw": 1, "pre-stage": 2}
    assert rows(site) == expected


def test_a_catalog_of_another_lake_gets_the_numbers_of_the_state(
    site: Any, site_of: Callable[[Path], Any], tmp_path: Path
) -> None:
    """Two workspaces of the same files, which they saw in another order, and one file that only one saw."""
    other = site_of(tmp_path / "other")
    for each in (site, other):
        each.dataset("orders")
    site.put("adtech/orders/lines/a.csv", "id,amount\n1,10\n")
    site.drain()
    site.put("adtech/orders/lines/b.csv", "id,amount\n2,20\n")
    site.drain()
    for name, content in (("b", "id,amount\n2,20\n"), ("c", "id,amount\n3,30\n"), ("a", "id,amount\n1,10\n")):
        other.put(f"adtech/orders/lines/{name}.csv", content)
        other.drain()
    expected = rows(other)
    shutil.copytree(other.workspace.post_stage, site.workspace.post_stage, dirs_exist_ok=True)
    put_back(site, halves(site)["amci.db"], halves(other)["catalog.db"])
    with pytest.raises(LakeMismatch, match="different lakes"):
        site.drain()
    assert recovered(site)["lost"] == 0
    assert rows(site) == expected
    ids = dict(site.state("SELECT key, object_id FROM objects"))
    assert dict(site.query("SELECT key, object_id FROM amci.objects")) == ids


def test_a_recovery_that_dies_while_it_queues_can_be_done_again(
    loaded: tuple[Any, Halves, Halves], monkeypatch: pytest.MonkeyPatch
) -> None:
    site, before, after = loaded
    expected = rows(site)
    put_back(site, after["amci.db"], before["catalog.db"])
    with monkeypatch.context() as dying:
        dying.setattr(Reprocess, "queue_each", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            recovered(site)
    assert recovered(site) == {"raw": 3}
    assert rows(site) == expected


def test_a_recovery_that_dies_before_it_loads_queues_no_older_versions_when_done_again(
    loaded: tuple[Any, Halves, Halves],
) -> None:
    site, _, after = loaded
    expected = rows(site)
    put_back(site, after["amci.db"], None)
    with open_engine(site.workspace, site.clock, {}, is_checked=False) as engine:
        assert Counter(each.fate for each in recover(engine)) == {"raw": 4}
    assert recovered(site) == {}
    assert rows(site) == expected


def test_the_halves_of_two_copies_do_not_go_together(loaded: tuple[Any, Halves, Halves]) -> None:
    """The same lake at the same commit, but one of them was recovered meanwhile."""
    site, _, after = loaded
    assert recovered(site) == {}
    now = halves(site)
    put_back(site, after["amci.db"], now["catalog.db"])
    with pytest.raises(LakeMismatch, match="state file is of the time before"):
        site.drain()
    put_back(site, now["amci.db"], after["catalog.db"])
    with pytest.raises(LakeMismatch, match="catalog is of the time before"):
        site.drain()
    put_back(site, now["amci.db"], now["catalog.db"])
    site.drain()


def test_a_pair_that_went_different_ways_is_refused_and_one_that_stands_as_noted_reads_no_ledger(
    loaded: tuple[Any, Halves, Halves], monkeypatch: pytest.MonkeyPatch
) -> None:
    site, before, after = loaded
    noted = site.state("SELECT snapshot FROM lake")[0]
    put_back(site, before["amci.db"], before["catalog.db"])
    shutil.rmtree(site.raw / "acme")
    site.put("adtech/orders/other/a.csv", "id\n1\n")
    site.drain()
    now = halves(site)
    put_back(site, now["amci.db"], after["catalog.db"])
    with closing(sqlite3.connect(site.workspace.state)) as db, db:
        # As if both had come equally far.
        db.execute("UPDATE lake SET snapshot = ?", noted)
    with pytest.raises(LakeMismatch, match=r"state file (is older|and the catalog have gone different ways)"):
        site.drain()
    put_back(site, now["amci.db"], now["catalog.db"])
    monkeypatch.setattr(pairing, "_newest_of_ledger", None)
    with site.engine():
        pass
