"""A large object takes the time it takes, and nobody's small one waits for it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest

from amci.kernel.run import Run
from amci.lake.catalog import catalog, duck
from amci.lake.catalog.catalog import Catalog
from amci.lake.catalog.tables import WrittenFile
from amci.lake.landing import ingest
from amci.lake.loading import staged_object, type_inference
from amci.lake.loading.light import LightHandler
from amci.lake.upkeep.check import examine

from ...conftest import drained, not_yet
from ..lakes import reading

LARGE = "acme/workflow=spend/schedule=daily/2026-09-2{}-spend-ver1.csv"
#: A small file waits for as long as this, in seconds, before the test fails.
PATIENCE = 60


@pytest.fixture
def small_is_in(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Large are objects of more than ten rows, and files of more than a hundred bytes."""
    for module in (staged_object, type_inference):
        monkeypatch.setattr(module, "LARGE", 10)
    monkeypatch.setattr(ingest, "LARGE_FILE", 100)
    return threading.Event()


def large(first: int) -> str:
    return "user,cost\n" + "".join(f"u{i},{i}\n" for i in range(first, first + 50))


def drained_until(site: Any, event: threading.Event, key: str, kind: str) -> list[Run]:
    """Drain; `event` is set when the run of this kind for `key` has succeeded. All runs, as they ended."""
    runs: list[Run] = []

    def see(run: Run) -> None:
        runs.append(run)
        if run.kind == kind and key in run.idempotency_key and run.status == "SUCCEEDED":
            event.set()

    with site.engine() as engine:
        engine.drain(not_yet(), see)
    return runs


@pytest.mark.parametrize("small", ["bolt", "acme"])
def test_a_small_object_is_loaded_while_large_ones_are(
    site: Any, small: str, small_is_in: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of another tenant, and of the same one into the same table."""
    site.configure("tenants/bolt.yaml", "tenant: bolt\n")
    write, waited = Catalog.write_file, []

    def written_later(self: Catalog, *arguments: Any) -> WrittenFile:
        waited.append(small_is_in.wait(PATIENCE))
        return write(self, *arguments)

    monkeypatch.setattr(Catalog, "write_file", written_later)
    for day in range(3):
        site.put(LARGE.format(day), large(100 * day))
    key = LARGE.replace("acme", small).format(9)
    site.put(key, "user,cost\nsmall,7\n")
    drained_until(site, small_is_in, key, "heavy")
    assert waited
    assert all(waited)
    rows = site.query(f'SELECT "user" FROM adtech_amc.{small}_spend_daily_ver1 WHERE cost = 7')
    assert ("small",) in rows
    assert sum(rows for _, _, rows in site.ledger()) == 151


def test_a_small_file_is_read_while_large_ones_are(
    site: Any, small_is_in: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle, waited = LightHandler.handle, []

    def read_later(self: LightHandler, runs: Sequence[Run]) -> Any:
        if runs[0].pool:
            assert len(runs) == 1
            waited.append(small_is_in.wait(PATIENCE))
        return handle(self, runs)

    monkeypatch.setattr(LightHandler, "handle", read_later)
    for day in range(3):
        site.put(LARGE.format(day), large(100 * day))
    key = LARGE.format(9)
    site.put(key, "user,cost\nsmall,7\n")
    drained_until(site, small_is_in, key, "light")
    assert waited == [True] * 3
    assert len(site.ledger()) == 4


@pytest.mark.spread(2)
@pytest.mark.parametrize("cost", ["many", "0.5", "5000000000", ""])
def test_a_table_that_changes_while_a_large_object_is_written_gets_its_rows_all_the_same(
    site: Any,
    site_of: Any,
    cost: str,
    small_is_in: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Any,
) -> None:
    write = Catalog.write_file

    def written_before(self: Catalog, *arguments: Any) -> WrittenFile:
        file = write(self, *arguments)
        assert small_is_in.wait(PATIENCE)
        return file

    wanted = site_of(tmp_path / "one after another")
    for each in (site, wanted):
        each.put(LARGE.format(0), "user,cost\nfirst,1\n")
        each.drain()
        each.put(LARGE.format(1), large(100))
        if each is wanted:
            each.drain()
        each.put(LARGE.format(2), f"user,cost,more\nsmall,{cost},x\n")
        if each is wanted:
            each.drain()
    monkeypatch.setattr(Catalog, "write_file", written_before)
    drained_until(site, small_is_in, LARGE.format(2), "heavy")
    table = "adtech_amc.acme_spend_daily_ver1"
    shown = f"SELECT * EXCLUDE (_object_id, _version) FROM {table} ORDER BY ALL"
    assert len(site.query(shown)) == 52
    assert site.query(shown) == wanted.query(shown)
    assert site.query(f"DESCRIBE {table}") == wanted.query(f"DESCRIBE {table}")
    with reading(site.workspace) as opened:
        assert examine(opened, site.workspace, deep=True) == []  # no file is left that belongs to nothing


def test_duckdb_is_opened_again_after_many_commits_and_goes_on(
    site: Any, small_is_in: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog, "_COMMITS", 3)
    monkeypatch.setattr(catalog, "_ROWS", 40)
    connect, opened = duck.connect, []

    def counted(**limits: Any) -> Any:
        opened.append(limits)
        return connect(**limits)

    monkeypatch.setattr(duck, "connect", counted)
    with site.engine() as engine:
        for day in range(8):
            site.put(LARGE.format(day), "user,cost\nu,1\n" if day != 6 else large(100))
            assert drained(engine).tally.failed == 0
        assert len(opened) == 4  # at first; after three commits, after three more, after the large load
        site.put(LARGE.format(0), "user,cost\nu,2\n")
        drained(engine)
    cost = "SELECT count(*), sum(cost) FROM adtech_amc.acme_spend_daily_ver1"
    assert site.query(cost) == [(57, 8 + sum(range(100, 150)))]
