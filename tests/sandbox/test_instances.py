"""Instances that come and go (amc-api 2.1)."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from .calling import Caller, Calling

MINUTE = timedelta(minutes=1)
NEW = {"instanceName": "Summer 2026", "advertiserName": "Northwind Outdoor"}


def _made(amc: Caller, **more: Any) -> dict[str, Any]:
    answer = amc.ask("POST", "/amc/instances", NEW | more)
    assert answer.status == 200, answer.content
    return dict(answer.json["instance"])


def _seen(amc: Caller, instance_id: str) -> dict[str, Any]:
    return dict(amc.ask("GET", f"/amc/instances/{instance_id}").json["instance"])


def test_a_new_instance_comes_to_be_step_by_step(calling: Calling) -> None:
    amc = calling(creating=30 * MINUTE)
    instance_id = _made(amc)["instanceId"]
    seen = []
    for _ in range(4):
        seen.append(_seen(amc, instance_id))
        amc.clock.turn(10 * MINUTE)
    assert [s["creationStatus"] for s in seen] == ["REQUESTED", "SUBMITTED", "IN_PROGRESS", "COMPLETED"]
    assert [s["apiEndpoint"] for s in seen] == [None, None, None, "https://advertising-api.amazon.com"]
    assert [s["creationDatetime"] for s in seen] == [None, None, None, "2026-11-01T06:00:00Z"]
    assert [bool(s["s3BucketName"]) for s in seen] == [False, False, False, True]


def test_without_delay_it_is_there_with_the_next_request(amc: Caller) -> None:
    made = _made(amc)
    assert made["creationStatus"] == "REQUESTED"
    assert made["instanceId"].startswith("amc")
    assert len(made["instanceId"]) == 11
    seen = _seen(amc, made["instanceId"])
    assert list(seen) == list(made)
    assert (seen["creationStatus"], seen["instanceName"]) == ("COMPLETED", "Summer 2026")
    assert seen["customerCanonicalName"] == "Northwind Outdoor"
    assert [i["instanceId"] for i in amc.ask("GET", "/amc/instances").json["instances"]] == [
        "amcsandbox1",
        made["instanceId"],
    ]


def test_a_new_instance_can_be_used_once_it_is_there(calling: Calling) -> None:
    amc = calling(creating=MINUTE)
    path = f"/amc/reporting/{_made(amc)['instanceId']}/workflowExecutions"
    assert amc.ask("POST", path, {"sqlQuery": "SELECT 1 AS a"}).status == 400
    amc.clock.turn(MINUTE)
    execution = amc.ask("POST", path, {"sqlQuery": "SELECT 1 AS a"}).json["workflowExecutionId"]
    assert amc.ask("GET", f"{path}/{execution}").json["status"] == "SUCCEEDED"


def test_another_account_does_not_see_it(amc: Caller) -> None:
    instance_id = _made(amc)["instanceId"]
    other = {"amazon-advertising-api-advertiserid": "ENTITY9"}
    for method, path in (("GET", f"/amc/instances/{instance_id}"), ("POST", "/amc/instances")):
        assert amc.ask(method, path, NEW, **other).status == 403


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"instanceName": None}, "instanceName is required."),
        ({"instanceName": "ab"}, "Invalid instanceName"),
        ({"instanceName": "a" * 51}, "Invalid instanceName"),
        ({"instanceName": "Summer-2026"}, "Invalid instanceName"),
        ({"instanceName": "Sömmer"}, "Invalid instanceName"),
        ({"advertiserName": "x"}, "Invalid advertiserName"),
        ({"awsAccountId": "12345"}, "Invalid awsAccountId"),
        ({"s3BucketName": "../up"}, "Invalid s3BucketName"),
        ({"acrBacked": True, "acrCustomerPartners": [{}, {}, {}]}, "acrCustomerPartners must be a list of at most 2"),
        ({"acrCustomerPartners": [{"abilities": ["CAN_QUERY"]}]}, "acrCustomerPartners: abilities may only be"),
        ({"idempotencyToken": ""}, "idempotencyToken must have between 1 and 36"),
        ({"idempotencyToken": "t" * 37}, "idempotencyToken must have between 1 and 36"),
    ],
)  # fmt: skip
def test_a_request_that_makes_no_sense_is_refused(amc: Caller, change: Any, says: str) -> None:
    answer = amc.ask("POST", "/amc/instances", NEW | change)
    assert answer.status == 400
    assert answer.details.startswith(says)
    assert len(amc.ask("GET", "/amc/instances").json["instances"]) == 1


def test_a_token_means_the_same_instance_for_ten_minutes(amc: Caller) -> None:
    first, second = (_made(amc, idempotencyToken="t")["instanceId"] for _ in range(2))
    assert first == second
    other = amc.ask("POST", "/amc/instances", NEW | {"instanceName": "Other", "idempotencyToken": "t"})
    assert (other.status, other.details[:16]) == (400, "idempotencyToken")
    amc.clock.turn(10 * MINUTE)
    assert _made(amc, idempotencyToken="t")["instanceId"] != first


def test_without_a_token_each_request_makes_one(amc: Caller) -> None:
    assert _made(amc)["instanceId"] != _made(amc)["instanceId"]


@pytest.mark.parametrize("is_told", [True, False])
def test_an_instance_that_is_there_can_be_changed(amc: Caller, is_told: bool) -> None:
    instance_id = "amcsandbox1" if is_told else _made(amc)["instanceId"]
    before = _seen(amc, instance_id)
    path = f"/amc/instances/{instance_id}"
    changed = amc.ask("PUT", path, {"instanceName": "Winter 2026"}).json["instance"]
    assert changed == before | {"instanceName": "Winter 2026"}
    amc.ask(
        "PUT", path, {"advertiserName": "Atlas Pets", "awsAccountId": "1" * 12, "s3BucketName": "our-own"}
    )
    assert _seen(amc, instance_id) == changed | {
        "customerCanonicalName": "Atlas Pets",
        "awsAccountId": "1" * 12,
        "s3BucketName": "our-own",
    }
    assert amc.ask("PUT", path, {"instanceName": "?"}).status == 400


def test_an_instance_that_is_being_made_cannot_be_changed(calling: Calling) -> None:
    amc = calling(creating=MINUTE)
    answer = amc.ask("PUT", f"/amc/instances/{_made(amc)['instanceId']}", {"instanceName": "Winter"})
    assert answer.status == 400
    assert answer.details.endswith("its creation status is REQUESTED.")


@pytest.mark.parametrize("is_told", [True, False])
def test_a_deleted_instance_is_gone_with_all_that_was_in_it(calling: Calling, is_told: bool) -> None:
    amc = calling()
    instance_id = "amcsandbox1" if is_told else _made(amc)["instanceId"]
    reporting = f"/amc/reporting/{instance_id}"
    amc.ask("POST", f"{reporting}/workflows", {"workflowId": "reach", "sqlQuery": "SELECT 1 AS a"})
    amc.ask("POST", f"{reporting}/schedules", {"scheduleId": "s", "workflowId": "reach"})
    answer = amc.ask("DELETE", f"/amc/instances/{instance_id}")
    assert (answer.status, answer.content) == (204, b"")
    for method in ("GET", "PUT", "DELETE"):
        again = amc.ask(method, f"/amc/instances/{instance_id}", {})
        assert (again.status, again.details) == (404, f"Instance with ID {instance_id} does not exist.")
    assert amc.ask("GET", f"{reporting}/workflows").status == 404
    assert instance_id not in str(amc.ask("GET", "/amc/instances").json)
    amc.clock.turn(timedelta(days=2))
    amc.sandbox.advance()
    assert amc.sandbox.backend.store.rows("running_anywhere")[0]["number"] == 0


def test_what_was_done_to_instances_outlives_the_process_and_is_seen_by_others(calling: Calling) -> None:
    first, second = calling(), calling()
    assert len(second.ask("GET", "/amc/instances").json["instances"]) == 1
    instance_id = _made(first)["instanceId"]
    assert _seen(second, instance_id)["instanceName"] == "Summer 2026"
    first.ask("PUT", f"/amc/instances/{instance_id}", {"instanceName": "Winter"})
    assert _seen(second, instance_id)["instanceName"] == "Winter"
    first.ask("DELETE", f"/amc/instances/{instance_id}")
    assert second.ask("GET", f"/amc/instances/{instance_id}").status == 404


def test_results_go_into_the_bucket_of_the_customers_own_account(calling: Calling, tmp_path: Path) -> None:
    amc = calling(bucket=tmp_path / "bucket")
    instance_id = _made(amc)["instanceId"]
    asked = {"awsAccountId": "1" * 12, "bucketName": "our-own-bucket"}
    answer = amc.ask("POST", f"/amc/instances/{instance_id}/updateCustomerAwsAccount", asked)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.json["cfnBucketUrl"].endswith("param_BucketName=our-own-bucket")
    path = f"/amc/reporting/{instance_id}/workflowExecutions"
    execution = amc.ask("POST", path, {"sqlQuery": "SELECT 1 AS a"}).json["workflowExecutionId"]
    uri = amc.ask("GET", f"{path}/{execution}").json["outputS3URI"]
    assert uri.startswith("s3://our-own-bucket/workflow=transient_")
    assert (tmp_path / "bucket" / uri.removeprefix("s3://")).read_bytes() == b"a\n1\n"


@pytest.mark.parametrize(
    "asked",
    [{}, {"awsAccountId": "1" * 12}, {"bucketName": "own"}, {"awsAccountId": "1", "bucketName": "own"}],
)
def test_an_account_needs_its_number_and_a_bucket(amc: Caller, asked: Any) -> None:
    assert amc.ask("POST", "/amc/instances/amcsandbox1/updateCustomerAwsAccount", asked).status == 400


def test_only_an_instance_with_clean_rooms_has_a_collaboration(amc: Caller) -> None:
    partners = [{"awsAccountId": "2" * 12, "displayName": "Them", "abilities": []}]
    instance_id = _made(amc, acrBacked=True, acrCustomerPartners=partners)["instanceId"]
    path = f"/amc/instances/{instance_id}/collaboration"
    found = amc.ask("GET", path).json["collaboration"]
    assert _seen(amc, instance_id)["acrCollaboration"] == {"id": found["id"]}
    assert [partner["accountId"] for partner in found["customerPartners"]] == ["2" * 12]
    tables = amc.ask("POST", f"{path}/idmappingtables/list", {}).json
    assert tables == {"collaborationId": found["id"], "idMappingTables": [], "nextToken": None}
    spaces = amc.ask("POST", f"{path}/idnamespaces/list", {}).json
    assert spaces["collaborationIdNamespaceAssociations"] == []
    for method, end in (("GET", ""), ("POST", "/idmappingtables/list"), ("POST", "/idnamespaces/list")):
        assert amc.ask(method, f"/amc/instances/amcsandbox1/collaboration{end}", {}).status == 404
