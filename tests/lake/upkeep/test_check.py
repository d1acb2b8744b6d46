from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from amci.app.engine import open_engine
from amci.kernel.clock import SystemClock
from amci.kernel.state import State
from amci.kernel.workspace import WorkspacePaths
from amci.lake.catalog.checksums import is_intact
from amci.lake.catalog.duck import METADATA
from amci.lake.upkeep import check
from amci.lake.upkeep.file_schema import columns_by_table
from amci.lake.upkeep.maintenance import Maintenance

from ..lakes import TABLE, drain, reading, write
from .conftest import REACH


def found(workspace: WorkspacePaths, *, deep: bool = False) -> list[tuple[str, str]]:
    with reading(workspace) as opened:
        rows = check.examine(opened, workspace, deep=deep)
    assert all(row["says"] for row in rows)
    return [(row["problem"], row["file"]) for row in rows]


def data_file(workspace: WorkspacePaths) -> Path:
    with reading(workspace) as opened:
        known = check.known_files(opened.con, workspace.post_stage)
    return max((path for path, file in known.items() if file.rows), key=lambda path: path.stat().st_size)


def test_a_healthy_lake_has_no_findings(workspace: WorkspacePaths) -> None:
    assert found(workspace) == found(workspace, deep=True) == []


def test_a_missing_file_is_found(workspace: WorkspacePaths) -> None:
    path = data_file(workspace)
    path.unlink()
    assert found(workspace) == [("missing", workspace.relative(path))]
    assert ("missing", workspace.relative(path)) in found(workspace, deep=True)


def test_a_file_of_another_size_is_found(workspace: WorkspacePaths) -> None:
    path = data_file(workspace)
    path.write_bytes(path.read_bytes()[:-1])
    assert found(workspace) == [("altered", workspace.relative(path))]


def test_a_footer_that_is_broken_is_found(workspace: WorkspacePaths) -> None:
    path = data_file(workspace)
    content = bytearray(path.read_bytes())
    content[-8:-4] = b"\xff" * 4
    path.write_bytes(content)
    assert found(workspace) == [("altered", workspace.relative(path))]


def test_only_a_deep_look_finds_damage_in_the_middle(workspace: WorkspacePaths) -> None:
    path = data_file(workspace)
    content = bytearray(path.read_bytes())
    content[4:60] = b"\xff" * 56
    path.write_bytes(content)
    assert found(workspace) == []
    assert ("altered", workspace.relative(path)) in found(workspace, deep=True)


def test_a_file_nobody_knows_is_extra(workspace: WorkspacePaths) -> None:
    stray = workspace.post_stage / "adtech_amc" / "stray.parquet"
    stray.write_bytes(b"PAR1")
    assert found(workspace) == [("extra", "stage/post-stage/adtech_amc/stray.parquet")]


def test_what_a_writer_at_work_has_not_committed_is_not_extra(workspace: WorkspacePaths) -> None:
    old = workspace.post_stage / "adtech_amc" / "old.parquet"
    old.write_bytes(b"PAR1")
    os.utime(old, (1_700_000_000, 1_700_000_000))
    with workspace.writing():
        (workspace.post_stage / "adtech_amc" / "new.parquet").write_bytes(b"PAR1")
        assert found(workspace) == [("extra", "stage/post-stage/adtech_amc/old.parquet")]
    assert len(found(workspace)) == 2


def test_a_deep_look_finds_where_table_and_ledger_disagree(workspace: WorkspacePaths) -> None:
    with open_engine(workspace, SystemClock(), {}) as engine:
        engine.catalog.con.execute(f"DELETE FROM lake.{TABLE} WHERE campaign = 'C'")
    assert found(workspace) == []
    assert found(workspace, deep=True) == [("ledger", TABLE)]


def test_a_deep_look_finds_a_table_that_is_gone(workspace: WorkspacePaths) -> None:
    with open_engine(workspace, SystemClock(), {}) as engine:
        engine.catalog.con.execute(f"DROP TABLE lake.{TABLE}")
    assert found(workspace, deep=True) == [("ledger", TABLE)]


def test_no_false_alarm_while_a_writer_loads_and_replaces(workspace: WorkspacePaths) -> None:
    seen: list[Any] = []
    with reading(workspace) as opened:

        def work() -> None:
            for n in range(3):
                write(workspace, REACH.format("10-01"), "campaign,users\n" + "A,7\n" * (n + 3))
                write(workspace, REACH.format(f"11-{n + 10}"), "campaign,users\nA,7\n")
                drain(workspace)

        writer = threading.Thread(target=work)
        writer.start()
        while writer.is_alive():
            seen += check.examine(opened, workspace, deep=True)
        writer.join()
    assert seen == []
    assert found(workspace, deep=True) == []


def test_what_keeps_a_catalog_closed_is_said(workspace: WorkspacePaths) -> None:
    assert check.what_keeps_it_closed(workspace, memory_limit=2**28) == ""
    workspace.catalog.write_bytes(b"not a database" * 100)
    assert check.what_keeps_it_closed(workspace, memory_limit=2**28)


def test_no_altered_bit_of_any_file_goes_unnoticed(workspace: WorkspacePaths) -> None:
    with reading(workspace) as opened, State.read_only(workspace.state) as state:
        files = check.known_files(opened.con, workspace.post_stage)
        staged = {file.path: file for file in check.staged_files(state, workspace.pre_stage)}
    assert len(files) >= 4
    assert len(staged) >= 3
    assert all(file.sha256 for file in (*files.values(), *staged.values()))
    unnoticed = []
    for path in (*files, *staged):
        content = path.read_bytes()
        for at in range(len(content)):
            changed = bytearray(content)
            changed[at] ^= 1 << at % 8
            path.write_bytes(changed)
            if path in files:
                found: list[Any] = check.damages([files[path]], deep=True)
            else:
                found = [] if is_intact(path, staged[path].sha256) else [path]
            if not found:
                unnoticed.append((path, at))
        path.write_bytes(content)
    assert unnoticed == []


def test_files_of_an_earlier_release_get_checksums_when_they_are_found_sound(
    workspace: WorkspacePaths,
) -> None:
    with open_engine(workspace, SystemClock(), {}) as engine:
        engine.catalog.con.execute(f"DROP TABLE {METADATA}.amci_file")
    assert found(workspace, deep=True) == []
    write(workspace, REACH.format("12-01"), "campaign,users\nA,1\n")
    drain(workspace)
    with reading(workspace) as opened:
        files = check.known_files(opened.con, workspace.post_stage)
    assert {bool(file.sha256) for file in files.values()} == {False, True}
    with open_engine(workspace, SystemClock(), {}) as engine:
        assert engine.repair.run().files == ()
    with reading(workspace) as opened:
        assert all(file.sha256 for file in check.known_files(opened.con, workspace.post_stage).values())


def rewritten(workspace: WorkspacePaths, path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """A file with other contents, which the catalog takes for the one it knows."""
    table = pq.read_table(path, partitioning=None)
    pq.write_table(change(table), path)
    with open_engine(workspace, SystemClock(), {}) as engine:
        con, size = engine.catalog.con, path.stat().st_size
        con.execute(
            f"UPDATE {METADATA}.ducklake_data_file SET file_size_bytes = ? WHERE ends_with(path, ?)",
            [size, path.name],
        )
        (number,) = con.execute(
            f"SELECT data_file_id FROM {METADATA}.ducklake_data_file WHERE ends_with(path, ?)", [path.name]
        ).fetchone()
        con.execute(f"DELETE FROM {METADATA}.amci_file WHERE file_id = ?", [number])


def as_text(table: pa.Table, name: str = "users") -> pa.Table:
    place = table.schema.get_field_index(name)
    field = pa.field(name, pa.string(), metadata=table.schema.field(name).metadata)
    return table.set_column(place, field, table.column(name).cast(pa.string()))


def unknown_column(table: pa.Table) -> pa.Table:
    field = pa.field("stray", pa.string(), metadata={b"PARQUET:field_id": b"999"})
    return table.append_column(field, pa.repeat(pa.scalar("x"), len(table)))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (as_text, "its column users is varchar, and float64 or int64 in the catalog"),
        (unknown_column, "it has a column stray that its table never had"),
    ],
)
def test_columns_of_other_types_are_found_and_repaired(
    workspace: WorkspacePaths, change: Callable[[pa.Table], pa.Table], says: str
) -> None:
    path = data_file(workspace)
    with reading(workspace) as opened:
        before = opened.run(f"SELECT * EXCLUDE _version FROM {TABLE} ORDER BY ALL").fetchall()
    rewritten(workspace, path, change)
    with reading(workspace) as opened:
        (row,) = check.examine(opened, workspace, deep=False)
    assert (row["problem"], row["file"]) == ("schema", workspace.relative(path))
    assert row["says"].startswith(f"table {TABLE}: {says}; `amci lake check --repair`")
    with open_engine(workspace, SystemClock(), {}) as engine:
        (file,) = engine.repair.run().files
        engine.work(threading.Event())
    assert file.problem == "schema"
    with reading(workspace) as opened:
        assert opened.run(f"SELECT * EXCLUDE _version FROM {TABLE} ORDER BY ALL").fetchall() == before


def test_a_file_without_a_column_or_with_its_older_type_is_right(workspace: WorkspacePaths) -> None:
    # The lake of these tests has both: a column that came later, and one that was widened.
    with reading(workspace) as opened:
        columns = [each for table in columns_by_table(opened.con).values() for each in table.values()]
    assert any(len(column.types) > 1 for column in columns)
    assert found(workspace) == []
    # DuckLake adds columns of its own to files that it merges or rewrites.
    with open_engine(workspace, SystemClock(), {}) as engine:
        Maintenance(workspace, engine.catalog, engine.state, engine.clock, lambda _: None).compact(None)
    assert found(workspace) == found(workspace, deep=True) == []


def test_a_column_of_pre_stage_that_is_no_text_is_found(workspace: WorkspacePaths) -> None:
    with State.read_only(workspace.state) as state:
        path = next(f.path for f in check.staged_files(state, workspace.pre_stage) if f.path.exists())
    table = pq.read_table(path, partitioning=None)
    place = table.schema.get_field_index("users")
    pq.write_table(table.set_column(place, "users", pa.repeat(pa.scalar(1.5), len(table))), path)
    with State.open(workspace.state, SystemClock()) as state:
        state.write(
            "UPDATE runs SET payload = json_remove(payload, '$.tables[0].sha256') WHERE kind = 'heavy'"
        )
        rows = check.examine_pre_stage(state, workspace, deep=True)
    assert [(row["problem"], row["file"]) for row in rows] == [("schema", workspace.relative(path))]
    assert "its column users is double, and not text" in rows[0]["says"]
