"""The advertisers of an instance, and the updates that change them; one update runs at a time (amc-api 2.1)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from sqlite3 import Row
from typing import Any

from amci.sandbox.backend import Backend
from amci.sandbox.errors import bad, missing
from amci.sandbox.http import Request, Response
from amci.sandbox.options import SandboxInstance
from amci.sandbox.resources import whole
from amci.sandbox.times import micros, span


@dataclass(frozen=True, slots=True)
class AdvertiserRecord:
    """An advertiser of the synthetic world."""

    advertiser_id: int
    name: str


#: All advertisers that the world has events of.
ADVERTISERS = (
    AdvertiserRecord(1234567890, "Northwind Outdoor"),
    AdvertiserRecord(2345678901, "Atlas Pets"),
    AdvertiserRecord(3456789012, "Blue Kettle"),
)
TYPES = ("DISPLAY", "SPONSORED_ADS", "SAS")
_CONFIGURED = {"SPONSORED_ADS": "SPONSORED_PRODUCTS"}
_FIELDS = ("id", "type", "marketplaceId")
_LISTS = ("advertisersToAdd", "advertisersToRemove")
_MOST_AT_ONCE = 10  #: to add, and to remove
_MOST = 2000  #: in an instance

#: Identifies an advertiser: `id` and `type`.
Key = tuple[str, str]


def advertisers(backend: Backend, request: Request) -> Response:
    """GET /amc/instances/{id}/advertisers."""
    wanted = request.query.get("type")
    found = of_instance(backend, request.instance, request.now)
    items = [shown for shown in found.values() if wanted in (None, shown["type"])]
    response = whole(request, "advertisers", items)
    response.document["totalCount"] = len(items)
    return response


def of_instance(backend: Backend, known: SandboxInstance, now: datetime) -> dict[Key, dict[str, Any]]:
    """The advertisers of an instance at `now`."""
    found = {_key(shown): shown for shown in _those_of_the_events(known)}
    for row in backend.store.rows("advertiser_updates", instance_id=known.instance_id):
        if _status(backend, row, now) == "COMPLETED":
            asked = json.loads(row["document"])
            found |= {_key(each): _added(each) for each in asked["advertisersToAdd"]}
            for each in asked["advertisersToRemove"]:
                found.pop(_key(each), None)
    return found


def updates(backend: Backend, request: Request) -> Response:
    """GET /amc/instances/{id}/advertisers/updates."""
    rows = backend.store.rows("advertiser_updates", instance_id=request.instance.instance_id)
    items = [{"updateId": row["update_id"], "status": _status(backend, row, request.now)} for row in rows]
    return whole(request, "advertiserUpdates", items)


def update(backend: Backend, request: Request) -> Response:
    """GET /amc/instances/{id}/advertisers/updates/{updateId}."""
    rows = backend.store.rows("advertiser_updates", instance_id=request.instance.instance_id)
    for row in rows:
        if str(row["update_id"]) == request.parts["updateId"]:
            return _shown(row["update_id"], _status(backend, row, request.now), json.loads(row["document"]))
    raise missing("Advertiser update", request.parts["updateId"])


def start_update(backend: Backend, request: Request) -> Response:
    """POST /amc/instances/{id}/advertisers/updates: refused while another update is open."""
    body = request.document()
    asked = {name: _named(body, name) for name in _LISTS}
    if not any(asked.values()):
        raise bad("One of advertisersToAdd and advertisersToRemove must be specified.")
    instance_id = request.instance.instance_id
    with backend.store.transaction():
        before = backend.store.rows("advertiser_updates", instance_id=instance_id)
        if before and _status(backend, before[-1], request.now) in ("PENDING", "UPDATING"):
            raise bad(f"Instance {instance_id} has an open advertiser update.")
        has = of_instance(backend, request.instance, request.now)
        backend.store.do(
            "new_advertiser_update",
            instance_id=instance_id,
            update_id=len(before),
            document=json.dumps(asked),
            outcome="COMPLETED" if _makes_sense(asked, has) else "REJECTED",
            now=micros(request.now),
        )
    return _shown(len(before), "PENDING", asked)


def _makes_sense(asked: Mapping[str, list[dict[str, Any]]], has: Mapping[Key, object]) -> bool:
    """Whether AMC completes the update: it rejects to add what is there, to remove what is not, and too many."""
    add, remove = ([_key(each) for each in asked[name]] for name in _LISTS)
    fits = len(has) + len(add) - len(remove) <= _MOST
    return (
        fits
        and len({*add, *remove}) == len(add) + len(remove)
        and not has.keys() & add
        and has.keys() >= {*remove}
    )


def _named(body: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    found = body.get(name) or []
    if not isinstance(found, list) or len(found) > _MOST_AT_ONCE:
        raise bad(f"{name} must be a list of at most {_MOST_AT_ONCE} advertisers.")
    for each in found:
        if not isinstance(each, dict) or not each.get("id") or each.get("type") not in TYPES:
            raise bad(f"{name}: each advertiser needs an id and a type, one of {', '.join(TYPES)}.")
    return [{field: each.get(field) for field in _FIELDS} for each in found]


def _status(backend: Backend, row: Row, now: datetime) -> str:
    """PENDING for the first half of the time an update takes, then UPDATING."""
    age, takes = micros(now) - row["created_at"], span(backend.options.updating)
    if age >= takes:
        return str(row["outcome"])
    return "PENDING" if 2 * age < takes else "UPDATING"


def _shown(update_id: int, status: str, asked: Mapping[str, Any]) -> Response:
    return Response(document={"advertiserUpdate": {"updateId": update_id, "status": status, **asked}})


def _key(each: Mapping[str, Any]) -> Key:
    return str(each["id"]), str(each["type"])


def _those_of_the_events(known: SandboxInstance) -> Iterable[dict[str, Any]]:
    for entry in ADVERTISERS:
        for kind in ("DISPLAY", "SPONSORED_ADS"):
            is_dsp = kind == "DISPLAY"
            name = str(entry.advertiser_id) if is_dsp else f"ENTITY{entry.advertiser_id}"
            marketplace = None if is_dsp else known.marketplace_id
            yield _added({"id": name, "type": kind, "marketplaceId": marketplace}, entry.name)


def _added(each: Mapping[str, Any], name: str = "") -> dict[str, Any]:
    """An advertiser with the keys of a live answer, in their order."""
    return {
        "id": str(each["id"]),
        "name": name or f"Advertiser {each['id']}",
        "type": each["type"],
        "marketplaceId": each["marketplaceId"],
        "configuredAdvertiserTypes": [_CONFIGURED.get(each["type"], each["type"])],
    }
