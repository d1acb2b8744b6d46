"""The administration API (amc-api 2.1), data sources, and what every answer has."""

from __future__ import annotations

import json

import pytest

from amci.amcsql.sources import source, sources
from amci.sandbox.options import SandboxInstance

from .calling import Caller, Calling

US, UK = "ATVPDKIKX0DER", "A1F83G8C2ARO7P"
INSTANCES = (
    SandboxInstance(instance_id="amc1", entity_id="ENTITY1", marketplace_id=US, name="one"),
    SandboxInstance(instance_id="amc2", entity_id="ENTITY1", marketplace_id=US, name="two"),
    SandboxInstance(instance_id="amc3", entity_id="ENTITY2", marketplace_id=UK, name="three"),
)


def test_accounts_are_listed_once_without_an_account_in_the_headers(calling: Calling) -> None:
    amc = calling(instances=INSTANCES)
    amc.log_in()
    answer = amc.send("GET", "/amc/accounts", **dict(list(amc.headers.items())[:2]))
    assert [(a["accountId"], a["marketplaceId"]) for a in answer.json["amcAccounts"]] == [
        ("ENTITY1", US),
        ("ENTITY2", UK),
    ]


def test_accounts_have_an_error_family_of_their_own(amc: Caller) -> None:
    answer = amc.ask("GET", "/amc/accounts", authorization="")
    assert answer.status == 401
    assert answer.json.keys() == {"message", "requestId"}


def test_instances_are_those_of_the_account(calling: Calling) -> None:
    answer = calling(instances=INSTANCES).ask("GET", "/amc/instances")
    assert [i["instanceId"] for i in answer.json["instances"]] == ["amc1", "amc2"]
    assert answer.json["nextToken"] is None


def test_instances_of_an_unknown_account_are_refused(amc: Caller) -> None:
    answer = amc.ask("GET", "/amc/instances", **{"amazon-advertising-api-advertiserid": "ENTITY9"})
    assert (answer.status, answer.details) == (403, "Unauthorized request")


def test_instances_come_in_pages(calling: Calling) -> None:
    amc = calling(instances=INSTANCES)
    first = amc.ask("GET", "/amc/instances?limit=1").json
    second = amc.ask("GET", f"/amc/instances?limit=1&nextToken={first['nextToken']}").json
    assert [i["instanceId"] for page in (first, second) for i in page["instances"]] == ["amc1", "amc2"]
    assert second["nextToken"] is None


def test_an_instance_is_wrapped_and_has_the_live_keys(amc: Caller) -> None:
    answer = amc.ask("GET", "/amc/instances/amcsandbox1")
    assert answer.headers["content-type"] == "application/json"
    assert list(answer.json["instance"])[:5] == [
        "instanceId",
        "instanceName",
        "instanceType",
        "customerCanonicalName",
        "creationStatus",
    ]


@pytest.mark.parametrize("path", ["/amc/instances/amc9", "/amc/reporting/amc9/workflows"])
def test_an_unknown_instance_is_refused(amc: Caller, path: str) -> None:
    answer = amc.ask("GET", path)
    assert (answer.status, answer.details) == (403, "Unauthorized request")


def test_advertisers_can_be_asked_for_by_type(amc: Caller) -> None:
    every = amc.ask("GET", "/amc/instances/amcsandbox1/advertisers").json
    display = amc.ask("GET", "/amc/instances/amcsandbox1/advertisers?type=DISPLAY").json
    assert (every["totalCount"], display["totalCount"]) == (6, 3)
    assert {a["type"] for a in display["advertisers"]} == {"DISPLAY"}


def _only(**about: object) -> dict[str, object]:
    instance = SandboxInstance(instance_id="amc1", entity_id="E1", marketplace_id=US, name="one", **about)
    return {"instances": (instance,)}


@pytest.mark.parametrize("path", ["/workflows", "/amc/instances/amc1/advertisers"])
def test_terms_have_to_be_accepted(calling: Calling, path: str) -> None:
    answer = calling(**_only(has_accepted_terms=False)).ask("GET", path)
    assert answer.status == 401
    assert answer.details == "Terms and conditions must be accepted to continue"


def test_an_instance_that_is_being_made_can_be_seen_and_not_used(calling: Calling) -> None:
    amc = calling(**_only(creation_status="IN_PROGRESS"))
    assert amc.ask("GET", "/amc/instances/amc1").json["instance"]["creationStatus"] == "IN_PROGRESS"
    assert amc.ask("GET", "/workflows").status == 400


def test_data_sources_are_listed_in_pages_with_columns_and_sensitivity(amc: Caller) -> None:
    first = amc.ask("GET", "/dataSources?limit=30").json
    second = amc.ask("GET", f"/dataSources?limit=30&nextToken={first['nextToken']}").json
    names = [s["dataSourceId"] for s in first["dataSources"] + second["dataSources"]]
    assert names == list(sources())
    assert "nextToken" not in second
    columns = {c["name"]: c for c in first["dataSources"][0]["columns"]}
    assert columns["user_id"]["sensitivity"] == "VERY_HIGH"


def test_one_data_source_is_flat_and_an_unknown_one_is_not_found(amc: Caller) -> None:
    found = amc.ask("GET", "/dataSources/dsp_clicks")
    assert found.headers["content-type"] == "application/vnd.amcdatasources.v1+json"
    assert found.json["dataSourceId"] == "dsp_clicks"
    assert amc.ask("GET", "/dataSources/nothing").status == 404


def test_old_names_of_tables_are_known() -> None:
    assert source("DISPLAY_IMPRESSIONS") is sources()["dsp_impressions"]
    assert source("nothing") is None


def test_every_answer_has_amazons_request_id(amc: Caller) -> None:
    headers = amc.ask("GET", "/workflows").headers
    assert headers["x-amz-rid"] == headers["x-amz-request-id"]
    assert len(headers["x-amz-rid"]) == 20
    assert headers["x-amz-rid"] == headers["x-amz-rid"].upper()


@pytest.mark.parametrize(
    ("method", "path", "media"),
    [
        ("GET", "/workflows", "application/vnd.amcworkflows.v1+json"),
        ("GET", "/schedules", "application/vnd.amcschedules.v1+json"),
        ("GET", "/workflowExecutions?workflowId=reach", "application/vnd.amcworkflowexecutions.v1+json"),
        ("POST", "/workflowExecutions", "application/octet-stream"),
    ],
)
def test_media_types_are_as_recorded_live(amc: Caller, method: str, path: str, media: str) -> None:
    answer = amc.ask(method, path, {"workflowId": "reach"} if method == "POST" else None)
    assert (answer.status, answer.headers["content-type"]) == (200, media)
    assert json.loads(answer.content)


@pytest.mark.parametrize("path", ["/nothing", "/amc/nothing", "/amc/reporting/amcsandbox1/nothing"])
def test_what_nobody_answers_is_not_found(amc: Caller, path: str) -> None:
    assert amc.ask("GET", path).status == 404
