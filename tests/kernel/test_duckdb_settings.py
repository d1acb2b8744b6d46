from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from amci.kernel.duckdb_settings import limits, locked


def test_a_locked_session_reads_its_folders_and_files_and_nothing_else(tmp_path: Path) -> None:
    for name in ("in/a.csv", "b.csv", "out.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("n\n1\n")
    con = duckdb.connect()
    con.execute(limits(64 * 1024**2, threads=1, temp=""))
    con.execute(locked(folders=[tmp_path / "in"], files=[tmp_path / "b.csv"]))
    frame = duckdb.sql("SELECT 1 AS n")
    assert con.execute(f"FROM '{tmp_path}/in/a.csv' UNION ALL FROM '{tmp_path}/b.csv'").fetchall() == [
        (1,),
        (1,),
    ]
    for refused in (
        f"FROM '{tmp_path}/out.csv'",
        "SET threads = 2",
        "INSTALL httpfs",
        "SET lock_configuration = false",
    ):
        with pytest.raises(duckdb.Error):
            con.execute(refused)
    with pytest.raises(duckdb.CatalogException, match="frame"):
        con.execute("FROM frame")
    assert frame.fetchall() == [(1,)]


@pytest.mark.parametrize(
    ("threads", "temp", "expected"),
    [(None, None, []), (2, "it's", ["threads = 2", "temp_directory = 'it''s'"])],
)
def test_what_is_not_given_stays_as_duckdb_has_it(
    threads: int | None, temp: str | None, expected: list[str]
) -> None:
    settings = [
        statement.removeprefix("SET ") for statement in limits(2048, threads=threads, temp=temp).split(";")
    ]
    assert settings == [
        "TimeZone = 'UTC'",
        "enable_progress_bar = false",
        "memory_limit = '2KiB'",
        *expected,
        "",
    ]
