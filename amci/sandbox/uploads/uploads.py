"""Uploads into data sets: asked for, listed, shown; and carried out on the sandbox's clock (amc-api 2.5)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from sqlite3 import Row
from typing import Any

from amci.kernel.errors import StorageError
from amci.sandbox.backend import Backend
from amci.sandbox.errors import bad
from amci.sandbox.http import Request, Response
from amci.sandbox.resources import Resource, new_uuid
from amci.sandbox.times import NEVER, BadMoment, micros, read, span, wire, zone
from amci.sandbox.uploads.answers import check_none, country_problems, parameters
from amci.sandbox.uploads.bucket_files import UploadFailed
from amci.sandbox.uploads.datasets import DATA_SETS, is_fact
from amci.sandbox.uploads.versions import exclusive, files_of, folder_of, new_version, remove_others

STRATEGIES = ("ADDITIVE", "FULL_REPLACE", "OVERLAP_REPLACE", "OVERLAP_KEEP")
COMPRESSIONS = ("NONE", "GZIP", "ZIP", "BZIP", "SNAPPY")
_UPLOADS = Resource(
    name="upload", title="Upload", part="uploadId", items="uploads", first=0, limit="maxResults"
)
_FILES = ("sourceFileS3Key", "sourceManifestS3Key", "sourceS3Prefix")
_FORMATS = ("csvDataFormat", "jsonDataFormat", "parquetDataFormat")
#: Statuses of the API → their names in some of AMC's samples.
_SAMPLES = {"SUBMITTED": "PENDING", "SUCCESS": "COMPLETED"}
_MEANT = {sample: status for status, sample in _SAMPLES.items()}
_STATUSES = ("SUBMITTED", "IN_PROGRESS", "SUCCESS", "FAILED")
_SECOND = 1_000_000
_LONGEST_DELIMITER = 4  #: bytes


def create(backend: Backend, request: Request) -> Response:
    """POST /uploads/{dataSetId}."""
    asked = request.document()
    row = DATA_SETS.row(backend, request)
    check_none(_problems(asked, has_event_time=is_fact(row)))
    now, upload_id = micros(request.now), new_uuid()
    starts_at = now + span(backend.options.pending)
    backend.store.do(
        "new_upload",
        upload_id=upload_id,
        instance_id=row["instance_id"],
        data_set_id=row["data_set_id"],
        data_set_seq=row["seq"],
        request=json.dumps(asked),
        now=now,
        starts_at=starts_at,
        ends_at=starts_at + span(backend.options.running),
    )
    return Response(document={"status": _status(backend, "SUBMITTED"), "uploadId": upload_id})


def uploads(backend: Backend, request: Request) -> Response:
    """POST /uploads/list: in order of creation."""
    asked = parameters(request)
    since, until = _between(asked)
    status = asked.get("status")
    if status and status not in (*_STATUSES, *_MEANT):
        raise bad(f"status must be one of {', '.join(_STATUSES)}.")
    return _UPLOADS.page(
        backend,
        request,
        lambda row: _shown(backend, row),
        parameters=asked,
        data_set_id=asked.get("dataSetId"),
        status=_MEANT.get(status, status) if status else None,
        since=since,
        until=until,
    )


def upload(backend: Backend, request: Request) -> Response:
    """GET /uploads/{dataSetId}/{uploadId}."""
    row = _UPLOADS.row(backend, request, data_set_id=request.parts["dataSetId"])
    return Response(document={"upload": _shown(backend, row)})


def _status(backend: Backend, status: str) -> str:
    return _SAMPLES.get(status, status) if backend.has_sample_statuses else status


def _shown(backend: Backend, row: Row) -> dict[str, Any]:
    asked = json.loads(row["request"])
    shown = {
        "uploadId": row["upload_id"],
        "dataSetId": row["data_set_id"],
        "instanceId": row["instance_id"],
        "status": _status(backend, row["status"]),
        "createdAt": wire(row["created_at"]),
        "updatedAt": wire(row["updated_at"]),
        "message": row["message"],
        "metrics": {} if row["rows"] is None else {"OutputRowCount": row["rows"]},
        "dataSource": asked["dataSource"],
        "countryCode": asked.get("countryCode"),
    }
    return {name: value for name, value in shown.items() if value is not None}


def _between(asked: Mapping[str, str]) -> tuple[int, int]:
    """The range of `created_at` that is asked for, end excluded, in microseconds. Raises Refusal."""
    comparator = asked.get("createdAtComparator") or "EQ"
    if not asked.get("createdAt"):
        return 0, NEVER
    try:
        at = micros(read(asked["createdAt"], zone("UTC")))
    except BadMoment as error:
        raise bad(f"Invalid createdAt: {error}.") from error
    ranges = {
        "EQ": (at, at + _SECOND),
        "GT": (at + _SECOND, NEVER),
        "GTE": (at, NEVER),
        "LT": (0, at),
        "LTE": (0, at + _SECOND),
    }
    if comparator not in ranges:
        raise bad(f"createdAtComparator must be one of {', '.join(ranges)}.")
    return ranges[comparator]


def _problems(asked: Mapping[str, Any], *, has_event_time: bool) -> list[str]:
    """All problems of a request."""
    problems = []
    strategy = asked.get("updateStrategy")
    if strategy not in STRATEGIES:
        problems.append(f"updateStrategy is required and must be one of {', '.join(STRATEGIES)}.")
    elif strategy.startswith("OVERLAP_") and not has_event_time:
        problems.append(
            f"updateStrategy {strategy} needs a data set with a main event time; this one is a DIMENSION data set."
        )
    if (asked.get("compressionFormat") or "NONE") not in COMPRESSIONS:
        problems.append(f"compressionFormat must be one of {', '.join(COMPRESSIONS)}.")
    problems += country_problems(asked.get("countryCode"))
    return problems + _source_problems(asked.get("dataSource")) + _format_problems(asked.get("fileFormat"))


def _source_problems(given: object) -> list[str]:
    if not isinstance(given, dict):
        return ["dataSource is required."]
    problems = []
    if not isinstance(given.get("sourceS3Bucket"), str) or not given["sourceS3Bucket"]:
        problems.append("dataSource must have sourceS3Bucket.")
    named = [name for name in _FILES if isinstance(given.get(name), str) and given[name]]
    if len(named) != 1:
        problems.append(f"dataSource must have exactly one of {', '.join(_FILES)}.")
    return problems


def _format_problems(given: object) -> list[str]:
    if not isinstance(given, dict) or len(given) != 1 or next(iter(given)) not in _FORMATS:
        return [f"fileFormat is required and must have one of {', '.join(_FORMATS)}."]
    if "jsonDataFormat" in given and given["jsonDataFormat"] not in ("LINES", "DOCUMENT"):
        return ["jsonDataFormat must be LINES or DOCUMENT."]
    return _csv_problems(given["csvDataFormat"]) if "csvDataFormat" in given else []


def _csv_problems(options: object) -> list[str]:
    if not isinstance(options, dict | None):
        return ["csvDataFormat must be an object."]
    allowed: dict[str, Callable[[str], bool]] = {
        "fieldDelimiter": lambda text: len(text.encode()) <= _LONGEST_DELIMITER,
        "quoteCharacter": lambda text: len(text) == 1,
        # AMC's own sample writes the character twice
        "quoteEscapeCharacter": lambda text: len(set(text)) == 1,
        "recordDelimiter": lambda text: text in ("\n", "\r\n", "\r"),
        "commentCharacter": lambda text: len(text) == 1,
    }
    problems = [f"csvDataFormat has no {name}." for name in options or {} if name not in allowed]
    for name, is_good in allowed.items():
        value = (options or {}).get(name)
        if value not in (None, "") and not (isinstance(value, str) and is_good(value)):
            problems.append(f"{name} {json.dumps(value)} cannot be used.")
    return problems


def advance_uploads(backend: Backend, now: int) -> None:
    """Start and end the uploads due by `now` (microseconds since 1970). Raises StorageError."""
    for row in backend.store.rows("uploads_to_start", now=now):
        backend.store.do("start_upload", seq=row["seq"])
    due = backend.store.rows("uploads_to_end", now=now)
    if not due:
        return
    with exclusive(backend.directory) as is_locked:
        # otherwise another process does it
        for row in due if is_locked else ():
            _end(backend, row)


def _end(backend: Backend, row: Row) -> None:
    try:
        while not _load(backend, row):
            pass
    except (UploadFailed, StorageError) as error:
        # StorageError as well: a client should see it rather than wait for ever
        _finish(backend, row, "FAILED", str(error), None)


def _load(backend: Backend, row: Row) -> bool:
    """Load the files; False if the data set was changed meanwhile, so that they have to be loaded again."""
    from amci.sandbox.uploads.loading import UploadLoad

    now = backend.store.row("upload_by_seq", seq=row["seq"])
    if now is None or now["status"] not in ("SUBMITTED", "IN_PROGRESS"):
        return True
    data_set = backend.store.row("data_set_by_seq", seq=row["data_set_seq"])
    if data_set is None:
        raise UploadFailed(f"Data set {row['data_set_id']} was deleted.")
    folder, version = folder_of(backend.directory, data_set), new_uuid()
    remove_others(folder, (data_set["version"], data_set["previous"]))
    load = UploadLoad(
        data_set=data_set,
        upload=row,
        have=files_of(backend.directory, data_set),
        buckets=backend.buckets,
        people=backend.people,
        memory_limit=backend.options.memory_limit,
    )
    with new_version(folder, version) as part:
        loaded = load.into(part)
    with backend.store.transaction():
        is_taken = swap(backend, data_set, version, loaded.keys)
        if is_taken:
            _finish(backend, row, "SUCCESS", loaded.message or None, loaded.rows)
    if is_taken:
        remove_others(folder, (version, data_set["version"]))
    return is_taken


def swap(backend: Backend, data_set: Row, version: str, keys: object) -> bool:
    """Make a new version the current one; False if another one came first. The old one stays, for its readers."""
    return bool(
        backend.store.do(
            "swap_version",
            seq=data_set["seq"],
            old=data_set["version"],
            version=version,
            stored=json.dumps(keys),
        )
    )


def _finish(backend: Backend, row: Row, status: str, message: str | None, rows: int | None) -> None:
    backend.store.do("end_upload", seq=row["seq"], status=status, message=message, rows=rows)
