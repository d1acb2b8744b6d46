"""What the file beside a result says of the execution that made it."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from amci.kernel import log
from amci.kernel.clock import moment
from amci.kernel.errors import StorageError
from amci.kernel.files import bounded_bytes, json_of, storage_error
from amci.kernel.layout import sidecar_name, sidecar_of
from amci.kernel.names import column_names
from amci.lake.landing.roots import ODD

#: Fields of the comprehensive catalogue that only the execution knows.
TEXTS = ("workflow_execution_id", "sql_hash")
MOMENTS = ("time_window_start", "time_window_end")
#: The folder of AMC's own metadata.
METADATA = "metadata"
Found = TypeVar("Found")

#: What the system says of a file that can perhaps be read the next time.
_PASSING = {errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE, errno.ETIMEDOUT}
#: Letters of a field; ids and times have a few dozen.
_LONGEST = 1000
_WORDS = re.compile(r"[A-Z_]+")
_UNUSABLE = (ValueError, TypeError, OverflowError)

_log = log.get("sidecar")


def has_sidecar(path: str) -> bool:
    """Whether something lies where the sidecar of a raw file would; most files have none."""
    folder, name = os.path.split(path)
    try:
        os.lstat(f"{folder}/{sidecar_name(name)}")
    except FileNotFoundError:
        return False
    except OSError:
        return True  # who reads it says what is wrong
    return True


class Sidecar:
    """What the sidecar of a raw file says; nothing if there is none that can be used."""

    def __init__(self, path: Path) -> None:
        """Read it. Raises StorageError if the disk refuses to for now."""
        self._path = path
        self._document = _read(path, sidecar_of(path))

    def origin(self) -> dict[str, str]:
        """The fields that the catalogue takes."""
        return self._texts((*TEXTS, *MOMENTS))

    def correlation_id(self) -> str:
        """The correlation id of the run that brought the file here; empty if unknown."""
        return self._texts(("correlation_id",)).get("correlation_id", "")

    def types(self) -> dict[str, str]:
        """AMC's types of the columns, by their names in the lake: `LONG`, `ARRAY STRING`, `ARRAY` (amc-api 2.2)."""
        columns = _wanted(
            self._path, self._document, lambda d: [_column(one) for one in d.get("output_columns") or []]
        )
        if not columns:
            return {}
        names = column_names(name for name, _ in columns)
        return {name: data_type for name, (_, data_type) in zip(names, columns, strict=True)}

    def _texts(self, names: Sequence[str]) -> dict[str, str]:
        found = _wanted(
            self._path, self._document, lambda d: {name: text for name in names if (text := _text(name, d))}
        )
        return found or {}


def delivered_origin(path: Path) -> dict[str, str]:
    """The id of the execution in the metadata that AMC's own delivery puts in a folder beside the file (amc-api 2.3).

    Raises StorageError if the disk refuses to read it for now.
    """
    beside = path.parent / METADATA / f"{path.name.partition('.csv')[0]}.json"
    found = _wanted(path, _read(path, beside), lambda d: _text("workflowExecutionId", d))
    return {"workflow_execution_id": found} if found else {}


def correlation_id(path: Path) -> str:
    """The correlation id that a raw file's sidecar has; empty if it has none, or cannot be read for now."""
    try:
        return Sidecar(path).correlation_id() if has_sidecar(os.fspath(path)) else ""
    except StorageError as error:
        _log.warning("sidecar not read", file=path.name, exc_info=error)
        return ""


def _read(path: Path, beside: Path) -> Mapping[str, Any] | None:
    """The JSON object in the file `beside` a raw file, if there is one that can be used."""
    try:
        document = json_of(bounded_bytes(beside))
        if not isinstance(document, dict):
            raise TypeError("not a mapping")
    except FileNotFoundError:
        return None
    except (OSError, *_UNUSABLE) as error:
        if isinstance(error, OSError) and error.errno in _PASSING and not _is_of_the_kernel(beside):
            raise storage_error(error, f"read the note beside {path.name}") from error
        _warn(path, error)
        return None
    return document


def _wanted(
    path: Path, document: Mapping[str, Any] | None, wanted: Callable[[Mapping[str, Any]], Found]
) -> Found | None:
    """What is wanted of the document beside a raw file, if it has that in a form that can be used."""
    if document is None:
        return None
    try:
        return wanted(document)
    except _UNUSABLE as error:
        _warn(path, error)
        return None


def _warn(path: Path, error: Exception) -> None:
    # It says where rows came from, not what they are: they are loaded all the same.
    _log.warning("sidecar not usable", file=path.name, exc_info=error)


def _is_of_the_kernel(note: Path) -> bool:
    """Whether a note is a link into /proc or the like, whose files have no content of their own."""
    try:
        return note.stat().st_size == 0
    except OSError:
        return False


def _column(said: object) -> tuple[str, str]:
    if not isinstance(said, dict):
        raise TypeError("a column is not a mapping")
    return str(said.get("name") or ""), _spelled(said.get("dataType"))


def _spelled(data_type: object) -> str:
    if isinstance(data_type, dict):
        element = data_type.get("elementDataType")
        # Of arrays of arrays, and of rows, the values say more than AMC does.
        data_type = f"{data_type.get('type')} {element if isinstance(element, str) else ''}"
    return " ".join(_WORDS.findall(str(data_type).upper())[:2])


def moments(origin: Mapping[str, str]) -> dict[str, datetime]:
    """The moments among the fields of an origin."""
    return {name: moment(origin[name]) for name in MOMENTS if name in origin}


def _text(name: str, document: Mapping[str, Any]) -> str:
    text = str(document.get(name) or "")
    if len(text) > _LONGEST or ODD.search(text):
        raise ValueError(f"{name} is no text that could be stored")
    if text and name in MOMENTS:
        moment(text).astimezone(UTC)
    return text
