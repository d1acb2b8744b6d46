"""Whatever is delivered in whatever order, the lake is what a plain mapping of keys to rows says."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

KEYS = ["adtech/d/t/a.csv", "adtech/d/t/b.csv", "adtech/d/u/a.csv"]

#: A delivery: key, and the rows of the new version, none of them, or None for a file that is no CSV.
DELIVERIES = st.tuples(st.sampled_from(KEYS), st.one_of(st.none(), st.lists(st.integers(0, 9), max_size=3)))
#: Between deliveries: drain, or let the next one come first.
STEPS = st.lists(st.tuples(DELIVERIES, st.booleans()), min_size=1, max_size=6)


def content(rows: list[int] | None) -> str:
    return "v,w\n1\n" if rows is None else "v,w\n" + "".join(f"{v},x\n" for v in rows)


def lake(site: Any) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for table in site.tables():
        rows = site.query(
            f"SELECT key, v::BIGINT FROM {table} t JOIN amci.objects o ON o.object_id = t._object_id"
            " ORDER BY ALL"
        )
        for key, v in rows:
            found.setdefault(key, []).append(v)
    return found


def played(site_of: Any, home: Path, steps: Any, *, batch: int) -> Any:
    site = site_of(home)
    site.settings(f"batch: {batch}\n")
    site.dataset("d")
    for (key, rows), drains in steps:
        site.put(key, content(rows))
        if drains:
            site.drain()
    site.drain()
    return site


def model(steps: Any) -> dict[str, list[int]]:
    """A bad version leaves what was there; one that nobody looked at before the next came never was."""
    kept: dict[str, list[int]] = {}
    waiting: dict[str, list[int] | None] = {}
    for position, ((key, rows), drains) in enumerate(steps, start=1):
        waiting[key] = rows
        if drains or position == len(steps):
            kept |= {k: sorted(v) for k, v in waiting.items() if v is not None}
            waiting = {}
    return {key: rows for key, rows in kept.items() if rows}


@pytest.mark.parametrize("batch", [1, 50])
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_any_deliveries_end_in_the_lake_of_the_model(site_of: Any, batch: int, steps: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        site = played(site_of, Path(folder) / "workspace", steps, batch=batch)
        assert lake(site) == model(steps)
        assert site.drain().found.new == 0


#: Spellings that are one value or another, depending on what else is in their column.
SPELLINGS = ["4", "4.0", "1.50", "00", "-3", "TRUE", "true", "2026-01-01", "2026-01-01T00:00:00Z", "n/a", ""]
MIXED = st.lists(
    st.tuples(
        st.sampled_from(KEYS), st.lists(st.sampled_from(SPELLINGS), min_size=1, max_size=3), st.booleans()
    ),
    min_size=1,
    max_size=5,
)


def spelled(site: Any) -> dict[str, tuple[Any, Any]]:
    """Each table's columns with their types, and its rows with their keys."""
    return {
        table: (
            site.query(f"SELECT column_name, column_type FROM (DESCRIBE {table})"),
            site.query(
                f"SELECT key, v, w FROM {table} t JOIN amci.objects o ON o.object_id = t._object_id ORDER BY ALL"
            ),
        )
        for table in site.tables()
    }


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=MIXED)
def test_what_files_share_a_batch_changes_no_type_and_no_spelling(site_of: Any, steps: Any) -> None:
    found = []
    for batch in (1, 50):
        with tempfile.TemporaryDirectory() as folder:
            site = site_of(Path(folder) / "workspace")
            site.settings(f"batch: {batch}\n")
            site.dataset("d")
            for key, values, drains in steps:
                site.put(key, "v,w\n" + "".join(f"{value},x\n" for value in values))
                if drains:
                    site.drain()
            site.drain()
            found.append(spelled(site))
    assert found[0] == found[1]
