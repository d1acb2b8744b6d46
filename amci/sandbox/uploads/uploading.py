"""What becomes of uploads: they begin and end on the sandbox's clock, and a new version takes the old one's place."""

from __future__ import annotations

import json
from sqlite3 import Row

from amci.kernel.errors import StorageError
from amci.sandbox.backend import Backend
from amci.sandbox.uploads.answers import uuid
from amci.sandbox.uploads.bucket_files import UploadFailed
from amci.sandbox.uploads.versions import alone, files_of, folder_of, making, tidy


def advance_uploads(backend: Backend, now: int) -> None:
    """Begin and end what is due; nothing is written where nothing is. Raises StorageError."""
    for row in backend.store.rows("uploads_to_start", now=now):
        backend.store.do("start_upload", seq=row["seq"])
    due = backend.store.rows("uploads_to_end", now=now)
    if not due:
        return
    with alone(backend.directory) as is_alone:
        # another process does it, where this one is not
        for row in due if is_alone else ():
            _end(backend, row)


def _end(backend: Backend, row: Row) -> None:
    try:
        while not _load(backend, row):
            pass
    except (UploadFailed, StorageError) as error:
        # the disk may be at fault, too: whoever asks should be told rather than wait for ever
        _finish(backend, row, "FAILED", str(error), None)


def _load(backend: Backend, row: Row) -> bool:
    """Whether the upload has ended; not where somebody else has changed the data set meanwhile."""
    from amci.sandbox.uploads.loading import UploadLoad

    now = backend.store.row("upload_by_seq", seq=row["seq"])
    if now is None or now["status"] not in ("SUBMITTED", "IN_PROGRESS"):
        return True
    data_set = backend.store.row("data_set_by_seq", seq=row["data_set_seq"])
    if data_set is None:
        raise UploadFailed(f"Data set {row['data_set_id']} was deleted.")
    folder, version = folder_of(backend.directory, data_set), uuid()
    tidy(folder, (data_set["version"], data_set["previous"]))
    load = UploadLoad(
        data_set=data_set,
        upload=row,
        have=files_of(backend.directory, data_set),
        buckets=backend.buckets,
        people=backend.people,
        memory_limit=backend.options.memory_limit,
    )
    with making(folder, version) as part:
        loaded = load.into(part)
    with backend.store.changing():
        is_taken = swap(backend, data_set, version, loaded.keys)
        if is_taken:
            _finish(backend, row, "SUCCESS", loaded.message or None, loaded.rows)
    if is_taken:
        tidy(folder, (version, data_set["version"]))
    return is_taken


def swap(backend: Backend, data_set: Row, version: str, keys: object) -> bool:
    """Have a new version read from now on; False where another one came first. The old one stays for now."""
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
