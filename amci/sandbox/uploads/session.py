"""The DuckDB session that uploaded files are read and written in: bounded memory, one thread, no extensions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from amci.kernel.names import literal


@contextmanager
def session(memory_limit: int, work: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A session that may use so many bytes, and beyond them the folder `work`."""
    with duckdb.connect() as con:
        for setting in (
            "TimeZone = 'UTC'",
            "threads = 1",  # records keep their order, so that they can be counted
            f"memory_limit = '{memory_limit // 1024}KiB'",
            f"temp_directory = {literal(str(work / 'spill'))}",
            "autoinstall_known_extensions = false",
            "autoload_known_extensions = false",
        ):
            con.execute(f"SET {setting}")
        yield con
