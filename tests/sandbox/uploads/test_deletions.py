"""People who are to be forgotten leave all data sets (amc-api 2.5)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import duckdb
import pytest

from amci.kernel.testing import FakeClock
from amci.sandbox.options import DEFAULT_INSTANCE
from amci.sandbox.uploads.identities import identity
from amci.sandbox.uploads.uploaded import uploaded_sources

from ..calling import Caller, Calling

INSTANCE = DEFAULT_INSTANCE.instance_id
BASE = f"/amc/advertiserData/{INSTANCE}"
NAME = {"name": "product", "dataType": "STRING", "columnType": "DIMENSION"}
PEOPLE = range(1, 41)


def _identified(kind: str) -> dict[str, Any]:
    field = "hashedPii" if kind in ("EMAIL", "PHONE") else "externalIdentity"
    return {
        "name": kind.lower(),
        "dataType": "STRING",
        "columnType": "DIMENSION",
        "externalUserIdType": {field: kind},
    }


def _upload(amc: Caller, data_set_id: str, kind: str) -> None:
    """A data set with a row for each person, who is called so."""
    columns = [_identified(kind), NAME, *([USER] if kind == "LIVERAMP" else [])]
    body = {"dataSetId": data_set_id, "columns": columns, "countryCode": "US"}
    assert amc.ask("POST", f"{BASE}/dataSets", body).status == 200
    path = amc.directory / "uploads" / "files" / f"{data_set_id}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{kind.lower()},product", *[f"{identity(kind, person)},p{person}" for person in PEOPLE]]
    path.write_text("\n".join(lines))
    request = {
        "updateStrategy": "ADDITIVE",
        "dataSource": {"sourceS3Bucket": "files", "sourceFileS3Key": path.name},
        "fileFormat": {"csvDataFormat": {}},
    }
    assert amc.ask("POST", f"{BASE}/uploads/{data_set_id}", request).status == 200


USER = {"name": "user_id", "dataType": "STRING", "columnType": "DIMENSION", "isMainUserId": True}


def _there(amc: Caller, data_set_id: str) -> dict[int, int]:
    """The people who have a row, and their users."""
    amc.sandbox.advance()
    with duckdb.connect() as con:
        con.execute("CREATE SCHEMA amc")
        for name, source in uploaded_sources(amc.sandbox.backend, INSTANCE).items():
            con.execute(f"CREATE VIEW amc.{name} AS {source.reads}")
        rows = con.execute(f'SELECT product, "amci user" FROM amc.{data_set_id}').fetchall()
    return {int(product[1:]): user for product, user in rows}


def _delete(amc: Caller, *targets: Any) -> Any:
    return amc.ask("POST", f"{BASE}/userDeletionRequest", {"targetIdentities": list(targets)})


def _target(person: int, kind: str = "EMAIL") -> dict[str, str]:
    return {"identifierType": kind, "identifier": identity(kind, person)}


def test_rows_of_the_people_go_whether_they_had_matched_or_not(amc: Caller) -> None:
    _upload(amc, "sales", "EMAIL")
    before = _there(amc, "sales")
    known = next(person for person, user in before.items() if user)
    unknown = next(person for person, user in before.items() if not user)
    answer = _delete(amc, _target(known), _target(unknown))
    assert answer.json["instanceId"] == INSTANCE
    after = _there(amc, "sales")
    assert set(before) - set(after) == {known, unknown}
    assert len(after) == 38


def test_rows_of_the_same_user_go_under_another_identity_too(amc: Caller) -> None:
    for data_set_id, kind in (("mails", "EMAIL"), ("phones", "PHONE"), ("ramps", "LIVERAMP")):
        _upload(amc, data_set_id, kind)
    found = [_there(amc, data_set_id) for data_set_id in ("mails", "phones", "ramps")]
    person = next(p for p in PEOPLE if all(users[p] == p for users in found))
    _delete(amc, _target(person))
    assert all(person not in _there(amc, each) for each in ("mails", "phones", "ramps"))
    assert all(len(_there(amc, each)) == 39 for each in ("mails", "phones", "ramps"))


@pytest.mark.parametrize(
    "spelled",
    [
        lambda value: {"identifierType": "EMAIL", "identifier": value},
        lambda value: {"type": "email", "value": value.upper()},
        lambda value: {"hashedPii": "EMAIL", "value": value},
        lambda value: {"EMAIL": value},
    ],
)
def test_an_identity_may_be_spelled_in_several_ways(amc: Caller, spelled: Any) -> None:
    _upload(amc, "sales", "EMAIL")
    assert _delete(amc, spelled(identity("EMAIL", 3))).status == 200
    assert set(PEOPLE) - set(_there(amc, "sales")) == {3}


def test_a_request_is_pending_until_its_time_has_come(calling: Calling, clock: FakeClock) -> None:
    amc = calling(pending=timedelta(seconds=5), running=timedelta(seconds=5))
    _upload(amc, "sales", "EMAIL")
    clock.turn(timedelta(seconds=10))
    name = _delete(amc, _target(3), _target(4)).json["userDeletionRequestId"]
    path = f"{BASE}/userDeletionRequest/{name}"
    assert amc.ask("GET", path).json == {
        "userDeletionRequest": {
            "userDeletionRequestId": name,
            "instanceId": INSTANCE,
            "status": "PENDING",
            "createdAt": "2026-11-01T06:00:10Z",
            "updatedAt": "2026-11-01T06:00:10Z",
            "identityCount": 2,
        }
    }
    assert len(_there(amc, "sales")) == 40
    clock.turn(timedelta(seconds=10))
    shown = amc.ask("GET", path).json["userDeletionRequest"]
    assert (shown["status"], shown["updatedAt"]) == ("SUCCEEDED", "2026-11-01T06:00:20Z")
    assert len(_there(amc, "sales")) == 38


def test_who_was_meant_is_forgotten_when_it_is_done(amc: Caller) -> None:
    _delete(amc, _target(3))
    amc.sandbox.advance()
    rows = amc.sandbox.backend.store.rows("deletions", instance_id=INSTANCE, after=0, limit=9)
    assert [row["identities"] for row in rows] == ["[]"]


def test_requests_are_listed_a_page_at_a_time(amc: Caller) -> None:
    names = [_delete(amc, _target(n)).json["userDeletionRequestId"] for n in (1, 2, 3)]
    path = f"{BASE}/userDeletionRequest/list"
    first = amc.ask("POST", f"{path}?maxResults=2").json
    second = amc.ask("POST", f"{path}?maxResults=2&nextToken={first['nextToken']}").json
    listed = first["userDeletionRequests"] + second["userDeletionRequests"]
    assert [each["userDeletionRequestId"] for each in listed] == names
    assert "nextToken" not in second


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        ([], "must be a list of 1 to 1000 identities"),
        ([{"EMAIL": identity("EMAIL", 1)}] * 1001, "must be a list of 1 to 1000 identities"),
        (["x"], "targetIdentities[0] must have identifierType and identifier"),
        ([{"identifierType": "SHOE", "identifier": "x"}], "targetIdentities[0] must have"),
        ([{"identifierType": "EMAIL"}], "targetIdentities[0] must have"),
        ([_target(1), {"EMAIL": "jane@example.com"}], "targetIdentities[1]: the identifier is not hashed"),
        ([{"ZIP": identity("ZIP", 1)}], "targetIdentities[0]: ZIP alone does not say who is meant"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(amc: Caller, targets: list[Any], said: str) -> None:
    answer = _delete(amc, *targets)
    assert answer.status == 400
    assert said in answer.details
    assert "jane" not in answer.details


def test_a_request_that_is_not_there_is_not_found(amc: Caller) -> None:
    assert amc.ask("GET", f"{BASE}/userDeletionRequest/x").status == 404
