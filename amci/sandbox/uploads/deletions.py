"""User deletion requests: the rows of these people are removed from all data sets of an instance (amc-api 2.5)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from sqlite3 import Row
from typing import Any

from amci.sandbox.backend import Backend
from amci.sandbox.http import Request, Response
from amci.sandbox.resources import Resource, new_uuid
from amci.sandbox.times import micros, span, wire
from amci.sandbox.uploads.answers import check_none, parameters
from amci.sandbox.uploads.columns import EXTERNAL, HASHED, flagged
from amci.sandbox.uploads.datasets import columns_of
from amci.sandbox.uploads.identities import is_digest, key
from amci.sandbox.uploads.uploads import swap
from amci.sandbox.uploads.versions import exclusive, files_of, folder_of, new_version, remove_others

MOST = 1000  #: identities of a request
_DELETIONS = Resource(
    name="deletion",
    title="User deletion request",
    part="userDeletionRequestId",
    items="userDeletionRequests",
    first=0,
    limit="maxResults",
)
_RESOLVABLE = ("EMAIL", "PHONE", *EXTERNAL)
#: Names under which an identity may have its kind and its value; AMC does not publish them.
_KIND, _VALUE = (
    ("identifierType", "type", "hashedPii", "externalIdentity"),
    ("identifier", "value", "identity"),
)


def create(backend: Backend, request: Request) -> Response:
    """POST /userDeletionRequest."""
    problems: list[str] = []
    keys = list(_keys(request.document().get("targetIdentities"), problems))
    check_none(problems)
    deletion_id, now = new_uuid(), micros(request.now)
    backend.store.do(
        "new_deletion",
        deletion_id=deletion_id,
        instance_id=request.instance.instance_id,
        identities=json.dumps(keys),
        number=len(keys),
        now=now,
        ends_at=now + span(backend.options.pending) + span(backend.options.running),
    )
    return Response(
        document={"userDeletionRequestId": deletion_id, "instanceId": request.instance.instance_id}
    )


def deletions(backend: Backend, request: Request) -> Response:
    """POST /userDeletionRequest/list: in order of creation."""
    return _DELETIONS.page(backend, request, _shown, parameters=parameters(request))


def deletion(backend: Backend, request: Request) -> Response:
    """GET /userDeletionRequest/{userDeletionRequestId}."""
    return Response(document={"userDeletionRequest": _shown(_DELETIONS.row(backend, request))})


def advance_deletions(backend: Backend, now: int) -> None:
    """Carry out the requests due by `now` (microseconds since 1970), one data set at a time. Raises StorageError."""
    due = backend.store.rows("deletions_to_end", now=now)
    if not due:
        return
    with exclusive(backend.directory) as is_locked:
        # otherwise another process does it
        for row in due if is_locked else ():
            for data_set in backend.store.rows(
                "data_sets", instance_id=row["instance_id"], after="", limit=-1
            ):
                while not _forget(backend, row, data_set["seq"]):
                    pass
            # this clears the identities as well
            backend.store.do("end_deletion", seq=row["seq"])


def _forget(backend: Backend, row: Row, seq: int) -> bool:
    """Remove the people's rows; False if the data set was changed meanwhile, so that it has to be done again."""
    from amci.sandbox.uploads.loading import without_people

    data_set = backend.store.row("data_set_by_seq", seq=seq)
    if data_set is None or not flagged(columns_of(data_set), "isMainUserId"):
        return True
    files, folder = files_of(backend.directory, data_set), folder_of(backend.directory, data_set)
    if not files:
        return True
    version = new_uuid()
    identities, limit = json.loads(row["identities"]), backend.options.memory_limit
    with new_version(folder, version) as part:
        without_people(files, identities, backend.people(), part / f"{version}.parquet", limit)
    if swap(backend, data_set, version, json.loads(data_set["stored"])):
        remove_others(folder, (version, data_set["version"]))
        return True
    return False


def _shown(row: Row) -> dict[str, Any]:
    return {
        "userDeletionRequestId": row["deletion_id"],
        "instanceId": row["instance_id"],
        "status": row["status"],
        "createdAt": wire(row["created_at"]),
        "updatedAt": wire(row["updated_at"]),
        "identityCount": row["number"],
    }


def _keys(given: object, problems: list[str]) -> Iterator[str]:
    if not isinstance(given, list) or not 1 <= len(given) <= MOST:
        problems.append(f"targetIdentities must be a list of 1 to {MOST} identities.")
        return
    for number, target in enumerate(given):
        where = f"targetIdentities[{number}]"
        kind, value = _kind_and_value(target)
        if kind not in (*HASHED, *EXTERNAL) or not value:
            problems.append(f"{where} must have identifierType and identifier.")
        elif kind not in _RESOLVABLE:
            problems.append(f"{where}: {kind} alone does not say who is meant.")
        elif kind in HASHED and not is_digest(value):
            problems.append(f"{where}: the identifier is not hashed; standardise it and take its SHA-256.")
        else:
            yield key(kind, value if kind in EXTERNAL and kind not in ("MAID", "IDFA") else value.lower())


def _kind_and_value(target: object) -> tuple[str, str]:
    """Kind and value of an identity: under two names, or as `{"EMAIL": "…"}`."""
    if not isinstance(target, dict):
        return "", ""
    kind = next((target[name] for name in _KIND if target.get(name)), None)
    value = next((target[name] for name in _VALUE if target.get(name)), None)
    if kind is None and len(target) == 1:
        kind, value = next(iter(target.items()))
    return str(kind or "").upper(), str(value or "")
