"""From AMC's download links to one CSV file in raw/, with a note beside it that says what it is."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO, TYPE_CHECKING, Any, BinaryIO, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from amci.kernel.clock import timestamp
from amci.kernel.errors import DataError, Refused, Unavailable
from amci.kernel.files import (
    bounded_bytes,
    fault_point,
    json_of,
    replacing,
    storage_errors,
    sweep,
    write_bytes,
)
from amci.kernel.layout import ResultName, sidecar_of
from amci.kernel.text import json_text
from amci.tenants.model import Tenant
from amci.workflows.amc.model import Downloads
from amci.workflows.executions.run_factory import request_document
from amci.workflows.executions.store import ExecutionRecord

if TYPE_CHECKING:
    from amci.workflows.amc.client import AmcClient

#: What a signed link has in its query beside what names the file.
_SIGNATURE = re.compile(r"x-amz-|(signature|expires|awsaccesskeyid|key-pair-id|policy)$", re.IGNORECASE)
_PORTS = {"http": 80, "https": 443}
#: Of one file of AMC's metadata; what is longer is cut.
_LONGEST_METADATA = 1 << 20
#: A file up to this size is kept in memory on its way.
_IN_MEMORY = 4 << 20
_EXPIRED = 403
_SEVERAL = 2
_BOM = b"\xef\xbb\xbf"
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """A result in raw/."""

    key: str  #: relative to the raw root
    rows: int  #: without the header
    bytes: int


def path_of(row: ExecutionRecord) -> str:
    """Where the result lies below the folder of its tenant, as AMC would name it (amc-api 2.3)."""
    name = ResultName(
        export_time=row.created_at or row.submitting_at or row.changed_at,
        is_date_only=False,
        base=f"{_UNSAFE.sub('_', row.name)}-{(row.workflow_execution_id or '')[:8]}",
        ending="csv",
    )
    return f"workflow={row.name}/schedule={row.schedule}/{name}"


def deliver(
    client: AmcClient,
    folder: Path,
    tenant: Tenant,
    row: ExecutionRecord,
    about: Mapping[str, Any],
    *,
    was_killed: bool = False,
) -> Delivered:
    """Fetch the result of an execution, all its files as one, into the tenant's folder, unless it is there.

    `was_killed`: an earlier try may have left a part of it. The note `.<name>.meta.json` is written first, so that
    whoever meets the CSV finds it. Raises RemoteError, StorageError, and DataError if the files of one result
    have different headers.
    """
    # Also in a root of the tenant's own, keys begin with the tenant.
    key = f"{tenant.tenant}/{path_of(row)}"
    path = folder / path_of(row)
    note = sidecar_of(path)
    if path.exists() and (known := _noted(note, key)):
        return known
    if was_killed:
        sweep(path)
    fault_point("execute.before_download")
    with replacing(path) as part:
        rows, metadata = _fetched(client, row.workflow_execution_id or "", part)
        size = part.stat().st_size
        document = {**about, "rows": rows, "bytes": size, "metadata": metadata}
        # A line for each: with `indent`, Python's encoder takes ten times as long.
        lines = (f'"{name}": {json_text(value, default=str)}' for name, value in document.items())
        write_bytes(note, ("{\n " + ",\n ".join(lines) + "\n}").encode())
        fault_point("execute.downloaded")
    return Delivered(key=key, rows=rows, bytes=size)


def _noted(note: Path, key: str) -> Delivered | None:
    """What the note beside a result says; None if there is none, or it is damaged: then it is fetched again."""
    try:
        known = json_of(bounded_bytes(note))
        return Delivered(key=key, rows=int(known["rows"]), bytes=int(known["bytes"]))
    except (OSError, ValueError, TypeError, LookupError):
        return None


def fetch_into(client: AmcClient, row: ExecutionRecord, path: Path) -> Delivered:
    """Fetch the result of an execution into a file anywhere; raises as `deliver` does."""
    with replacing(path) as part:
        rows, _ = _fetched(client, row.workflow_execution_id or "", part)
        size = part.stat().st_size
    return Delivered(key=str(path), rows=rows, bytes=size)


def about(row: ExecutionRecord, sql_hash: str, correlation_id: str) -> dict[str, Any]:
    """What the note says of an execution."""
    document = row.document or {}
    return {
        "workflow_execution_id": row.workflow_execution_id,
        "workflow_id": row.name,
        "amc_workflow_id": row.workflow_id,
        "tenant": row.tenant_id,
        "instance_id": row.instance_id,
        "schedule": row.schedule,
        "run_id": row.run_id,
        "attempt": row.attempt,
        "correlation_id": correlation_id,
        "created_at": timestamp(row.created_at) if row.created_at else None,
        "time_window_start": timestamp(row.window_start) if row.window_start else None,
        "time_window_end": timestamp(row.window_end) if row.window_end else None,
        "time_window_start_local": document.get("timeWindowStartOriginal"),
        "time_window_end_local": document.get("timeWindowEndOriginal"),
        "time_zone": document.get("timeWindowTimeZoneOriginal"),
        "parameter_values": document.get("parameterValues") or {},
        "sql_hash": sql_hash,
        "output_columns": document.get("outputColumns") or [],
        "request": request_document(row.request) if row.request else {},
    }


def _fetched(client: AmcClient, workflow_execution_id: str, part: Path) -> tuple[int, list[str]]:
    """Data rows written to `part`, and the texts of AMC's metadata files; expired links are renewed once."""
    try:
        return _merged(client, client.downloads(workflow_execution_id), part)
    except Refused as refused:
        if refused.status != _EXPIRED:
            raise
    return _merged(client, client.downloads(workflow_execution_id), part)


def _merged(client: AmcClient, links: Downloads, part: Path) -> tuple[int, list[str]]:
    if not links.urls:
        raise DataError(
            "AMC says the execution succeeded and names no file of its result",
            hint="was it run with skipPublish? look at it in the AMC console",
        )
    rows, header = 0, b""
    with storage_errors(f"write {part.name}"), part.open("wb") as out:
        for number, url in enumerate(_distinct(links.urls), start=1):
            with _file(client, url, part.parent) as file:
                header, more = _append(file, out, header, number)
                rows += more
    if not header:
        # A result without rows has its header all the same (amc-api 2.3).
        raise Unavailable("AMC's file of the result came empty", hint="amci fetches it again")
    return rows, [_metadata(client, url, part.parent) for url in _distinct(links.metadata_urls)]


def _distinct(urls: Sequence[str]) -> Sequence[str]:
    """One link to each file, in order: a file that is named twice, also by two signatures, has its rows once."""
    files: dict[tuple[object, ...], str] = {}
    if len(urls) < _SEVERAL:
        return urls
    for url in urls:
        try:
            split = urlsplit(url)
            host = (split.scheme, split.hostname, split.port or _PORTS.get(split.scheme))
        except ValueError:  # no web address, which is said when it is fetched
            files.setdefault((url,), url)
            continue
        own = [(name, value) for name, value in parse_qsl(split.query) if not _SIGNATURE.match(name)]
        files.setdefault((*host, unquote(split.path), *own), url)
    return list(files.values())


@contextmanager
def _file(client: AmcClient, url: str, folder: Path) -> Iterator[IO[bytes]]:
    """A file of AMC's, read to its end and rewound."""
    with SpooledTemporaryFile(max_size=_IN_MEMORY, dir=str(folder)) as file:
        client.fetch(url, cast("BinaryIO", file))
        file.seek(0)
        yield file


def _append(file: IO[bytes], out: BinaryIO, header: bytes, number: int) -> tuple[bytes, int]:
    """Copy the rows of one file, and its header if it is the first; (header, rows)."""
    first = file.readline().removeprefix(_BOM).rstrip(b"\r\n")
    if first.lstrip().startswith(b"<"):
        raise Unavailable(
            "the download brought a page, not a result", hint="check any proxy; amci fetches it again"
        )
    if first and header and first != header:
        raise DataError(
            f"the files of the result differ: file 1 has the columns {_shown(header)}, file {number} {_shown(first)}",
            hint="run the workflow again; AMC did not finish its result",
        )
    if first and not header:
        out.write(first + b"\n")
    start = file.tell()
    rows, last = _count(file)
    file.seek(start)
    shutil.copyfileobj(file, out)
    if last and last != b"\n":
        # The next file's first row must not go on in this line.
        out.write(b"\n")
    return first or header, rows


def _count(file: IO[bytes]) -> tuple[int, bytes]:
    """Rows from here to the end, not counting line ends inside quotes, and the last byte."""
    rows, is_inside, last = 0, False, b""
    for line in file:
        # AMC escapes a quote by a backslash (amc-api 2.3); a doubled one leaves things as they were.
        is_inside ^= (line.count(b'"') - line.count(b'\\"')) % 2 == 1
        rows += not is_inside
        last = line[-1:]
    return rows, last


def _metadata(client: AmcClient, url: str, folder: Path) -> str:
    with _file(client, url, folder) as file:
        return file.read(_LONGEST_METADATA).decode(errors="replace")


def _shown(header: bytes) -> str:
    return header.decode(errors="replace")[:300]
