"""The settings of every DuckDB session, as SQL; the kernel itself does not import DuckDB."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from amci.kernel.names import literal


def limits(memory_limit: int, *, threads: int | None = None, temp: Path | str | None = None) -> str:
    """Statements for times in UTC, whatever the machine's zone, and for at most `memory_limit` bytes.

    No progress bar: DuckDB writes it to standard output, among the results of notebooks and of `python -c`.
    `temp` is the folder to spill to, or empty to spill nothing. With None for `threads` or `temp`, DuckDB's own
    setting stays.
    """
    return _statements(
        "TimeZone = 'UTC'",
        "enable_progress_bar = false",
        f"memory_limit = '{memory_limit // 1024}KiB'",
        f"threads = {threads}" if threads else "",
        "" if temp is None else f"temp_directory = {literal(str(temp))}",
    )


def no_extensions() -> str:
    """Statements after which a query neither installs an extension nor loads one."""
    return _statements(
        "autoinstall_known_extensions = false",
        "autoload_known_extensions = false",
        "allow_community_extensions = false",
    )


def locked(*, folders: Iterable[Path | str] = (), files: Iterable[Path | str] = ()) -> str:
    """Statements that leave a session these folders (with all below) and files, and nothing else.

    No network, no extensions, no variables of this program; and no way back, as no setting can be changed after.
    """
    return no_extensions() + _statements(
        f"allowed_directories = [{_listed(folders)}]",
        f"allowed_paths = [{_listed(files)}]",
        "python_enable_replacements = false",
        # Last: the paths cannot be set without external access, and nothing can be set once locked.
        "enable_external_access = false",
        "lock_configuration = true",
    )


def _statements(*settings: str) -> str:
    return "".join(f"SET {setting};" for setting in settings if setting)


def _listed(paths: Iterable[Path | str]) -> str:
    return ", ".join(literal(str(path)) for path in paths)
