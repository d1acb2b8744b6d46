"""DuckDB's extensions: where they are, and that their signatures are checked before their code runs."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

import duckdb

from amci.kernel.environment import environment
from amci.kernel.errors import AmciError, ConfigError
from amci.kernel.files import json_of, text_of
from amci.kernel.names import literal

#: Extension name and the package whose wheel carries its binary; versions equal DuckDB's own.
_EXTENSIONS = {"ducklake": "duckdb_extension_ducklake", "sqlite_scanner": "duckdb_extension_sqlite_scanner"}
#: Others than the owner may write.
_OTHERS = 0o022


@functools.cache
def checked() -> tuple[str, ...]:
    """What to LOAD: the extensions' binaries, whose signatures DuckDB has checked; raises AmciError.

    A check takes a quarter of a second, so a file is checked once, and again if it is not the file that it was.
    Otherwise it is done in a database that is thrown away. The code stays loaded: another LOAD of the same path runs
    that code, not what may have replaced it on disk.
    """
    found = {extension: _binary(extension, package) for extension, package in _EXTENSIONS.items()}
    binaries = [binary for binary in found.values() if binary]
    files = {_identity(binary) for binary in binaries}
    if len(binaries) < len(found) or not files <= _remembered():
        with duckdb.connect(config={"threads": 1, "autoinstall_known_extensions": "false"}) as con:
            for extension, binary in found.items():
                _load(con, extension, binary)
        # What was replaced meanwhile was perhaps not checked.
        if files == {_identity(binary) for binary in binaries}:
            _remember(files)
    return tuple(_name(extension, binary) for extension, binary in found.items())


def _binary(extension: str, package: str) -> Path | None:
    """The file of an extension in its package, if that is installed."""
    spec = importlib.util.find_spec(package)
    folders = [Path(p) for p in spec.submodule_search_locations or []] if spec else []
    pattern = f"extensions/v{duckdb.__version__}/{extension}.duckdb_extension"
    return next((binary for folder in folders for binary in folder.glob(pattern)), None)


def _name(extension: str, binary: Path | None) -> str:
    return literal(str(binary)) if binary else extension


def _load(con: duckdb.DuckDBPyConnection, extension: str, binary: Path | None) -> None:
    """Load an extension, installing it first if no package has its binary."""
    try:
        if binary is None:
            con.execute(f"INSTALL {extension}")
        con.execute(f"LOAD {_name(extension, binary)}")
    except duckdb.Error as error:
        wheel = _EXTENSIONS[extension].replace("_", "-")
        raise AmciError(
            f"DuckDB's extension {extension} cannot be loaded",
            hint=f"install {wheel}=={duckdb.__version__} beside duckdb {duckdb.__version__}",
        ) from error


def _identity(binary: Path) -> str:
    """What a file has in common with no other one, nor with itself after a change."""
    at = binary.stat()
    return f"{binary} {at.st_dev} {at.st_ino} {at.st_size} {at.st_mtime_ns} {at.st_ctime_ns}"


def _record() -> Path:
    """Where the files are noted whose signatures were checked: in the user's cache, as they belong to no workspace."""
    return Path(environment().get("XDG_CACHE_HOME") or Path.home() / ".cache") / "amci" / "extensions.json"


def _remembered() -> set[str]:
    """The files that were checked; none if somebody else may have written so, or nobody has."""
    with suppress(OSError, RuntimeError, ValueError, ConfigError):
        path = _record()
        if path.stat().st_uid != os.geteuid() or path.stat().st_mode & _OTHERS:
            return set()
        files = json_of(text_of(path))
        return {file for file in files if isinstance(file, str)} if isinstance(files, list) else set()
    return set()


def _remember(files: Collection[str]) -> None:
    """Note that these were checked; if that cannot be done, they are checked again."""
    with suppress(OSError, RuntimeError):
        path = _record()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.{os.getpid()}")
        part.write_text(json.dumps(sorted(files)), encoding="utf-8")
        part.chmod(0o600)
        part.replace(path)
