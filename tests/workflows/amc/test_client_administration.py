"""Does the client administer instances, advertisers and schedules as AMC expects it?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from amci.kernel.errors import ConfigError, OutcomeUnknown, Refused, Unavailable, UsageError
from amci.tenants.model import Tenant
from amci.workflows.amc.client import AmcClient
from amci.workflows.amc.model import Advertiser

from .conftest import Amc

OWN = "/amc/instances/amcabc12345"
REPORTING = "/amc/reporting/amcabc12345"
NEW = {"instanceName": "Summer 2026"}
INSTANCE = {"instanceId": "amcnew00001", "instanceName": "Summer 2026", "creationStatus": "REQUESTED"}
SCHEDULE = {"scheduleId": "daily", "workflowId": "reach", "aggregationPeriod": "Daily"}
UPDATE = {"updateId": 0, "status": "PENDING", "advertisersToAdd": [], "advertisersToRemove": []}
NO = {"code": "404", "details": "no"}
SONAR = Advertiser(advertiser_id="A1", name="Sonar", type="DISPLAY")
LUMEN = Advertiser(
    advertiser_id="ENTITY7", name="Lumen", type="SPONSORED_ADS", marketplace_id="ATVPDKIKX0DER"
)

#: Calls that send something once, with what AMC may answer.
ONCE: dict[str, tuple[Callable[[AmcClient], Any], Any]] = {
    "schedule": (lambda c: c.create_schedule(SCHEDULE), {}),
    "account": (lambda c: c.update_customer_aws_account("i", "1" * 12, "own"), {"cfnBucketUrl": "https://x"}),
    "update": (lambda c: c.start_advertiser_update([SONAR]), {"advertiserUpdate": UPDATE}),
}


class TestInstances:
    @pytest.mark.parametrize("document", [INSTANCE, {"instance": INSTANCE}], ids=["flat", "wrapped"])
    def test_a_new_one_is_asked_for_in_the_name_of_the_account(
        self, amc: Amc, client: AmcClient, document: Any
    ) -> None:
        amc.says(document, headers={"Content-Type": "application/octet-stream"})
        made = client.create_instance(NEW)
        assert (made.instance_id, made.creation_status) == ("amcnew00001", "REQUESTED")
        assert amc.paths == ["POST /amc/instances"]
        assert amc.asked[0].headers["amazon-advertising-api-advertiserid"] == "ENTITY1"
        token = amc.asked[0].body["idempotencyToken"]
        assert amc.asked[0].body == NEW | {"idempotencyToken": token}
        assert 1 <= len(token) <= 36

    def test_a_lost_answer_is_asked_for_again_with_the_same_token(self, amc: Amc, client: AmcClient) -> None:
        amc.says(b"", ends="close")
        amc.says({"instance": INSTANCE})
        assert client.create_instance(NEW).instance_id == "amcnew00001"
        assert amc.asked[0].body == amc.asked[1].body

    def test_only_the_same_request_has_the_same_token(
        self, amc: Amc, client: AmcClient, connect: Callable[..., AmcClient], tenant: Tenant
    ) -> None:
        amc.says({"instance": INSTANCE})
        other = connect(tenant.model_copy(update={"advertiser_id": "ENTITY2"}))
        for asking, definition in (
            (client, NEW | {"advertiserName": "Acme"}),
            (client, {"advertiserName": "Acme"} | NEW),
            (client, NEW),
            (other, NEW),
        ):
            asking.create_instance(definition)
        first, *others = [asked.body["idempotencyToken"] for asked in amc.asked]
        assert others[0] == first
        assert len({first, *others}) == 3

    def test_a_token_of_ones_own_is_sent_as_it_is(self, amc: Amc, client: AmcClient) -> None:
        amc.says({"instance": INSTANCE})
        client.create_instance(NEW | {"idempotencyToken": "mine"})
        assert amc.asked[0].body["idempotencyToken"] == "mine"

    @pytest.mark.parametrize("body", [b"", b"{}", b"[]"])
    def test_an_answer_without_an_instance_leaves_the_outcome_unknown(
        self, amc: Amc, client: AmcClient, body: bytes
    ) -> None:
        amc.says(body)
        with pytest.raises(OutcomeUnknown, match="AMC took the request"):
            client.create_instance(NEW)

    def test_without_an_instance_of_its_own_a_tenant_can_have_one_made(
        self, amc: Amc, connect: Callable[..., AmcClient], tenant: Tenant
    ) -> None:
        amc.says({"instance": INSTANCE})
        assert connect(tenant.model_copy(update={"instance_id": ""})).create_instance(NEW)
        with pytest.raises(ConfigError):
            connect(tenant.model_copy(update={"advertiser_id": ""})).create_instance(NEW)

    @pytest.mark.parametrize("body", [b"", b"{}", b'{"instance": {}}'])
    def test_a_change_shows_how_the_instance_stands_then(
        self, amc: Amc, client: AmcClient, body: bytes
    ) -> None:
        amc.says(body)
        amc.says({"instance": INSTANCE | {"instanceName": "Winter"}})
        assert client.update_instance("amc/1", {"instanceName": "Winter"}).name == "Winter"
        assert amc.paths == ["PUT /amc/instances/amc%2F1", "GET /amc/instances/amc%2F1"]
        assert amc.asked[0].body == {"instanceName": "Winter"}

    def test_deleting_says_whether_there_was_one(self, amc: Amc, client: AmcClient) -> None:
        amc.says(b"", status=204)
        amc.says(NO, status=404)
        assert [client.delete_instance("amc1"), client.delete_instance("amc1")] == [True, False]
        assert amc.paths == ["DELETE /amc/instances/amc1"] * 2

    def test_one_that_may_not_be_deleted_is_refused(self, amc: Amc, client: AmcClient) -> None:
        amc.says({"code": "403", "details": "Unauthorized request"}, status=403)
        with pytest.raises(Refused, match="Unauthorized request"):
            client.delete_instance("amc1")

    @pytest.mark.parametrize("instance_id", ["", ".", ".."])
    def test_an_id_that_would_lead_elsewhere_is_not_sent(
        self, amc: Amc, client: AmcClient, instance_id: str
    ) -> None:
        for ask in (
            lambda: client.delete_instance(instance_id),
            lambda: client.update_instance(instance_id, {}),
            lambda: client.update_customer_aws_account(instance_id, "1", "own"),
        ):
            with pytest.raises(UsageError, match="is not an id"):
                ask()
        assert amc.asked == []

    def test_a_bucket_of_ones_own_comes_with_the_link_that_makes_it(
        self, amc: Amc, client: AmcClient
    ) -> None:
        amc.says({"cfnBucketUrl": "https://stack"}, headers={"Content-Type": "application/octet-stream"})
        assert client.update_customer_aws_account("amc1", "1" * 12, "own") == "https://stack"
        assert amc.paths == ["POST /amc/instances/amc1/updateCustomerAwsAccount"]
        assert amc.asked[0].body == {"awsAccountId": "1" * 12, "bucketName": "own"}


class TestSentOnce:
    @pytest.mark.parametrize("call", ONCE)
    @pytest.mark.parametrize("answer", [{"ends": "close"}, {"status": 503}], ids=["no answer", "503"])
    def test_what_amc_may_have_done_is_not_asked_for_again(
        self, amc: Amc, client: AmcClient, call: str, answer: Any
    ) -> None:
        amc.says(b"", **answer)
        with pytest.raises(OutcomeUnknown):
            ONCE[call][0](client)
        assert len(amc.asked) == 1

    @pytest.mark.parametrize("call", ["account", "update"])
    @pytest.mark.parametrize("body", [b"", b"{}", b"null"])
    def test_an_answer_that_cannot_be_read_leaves_the_outcome_unknown(
        self, amc: Amc, client: AmcClient, call: str, body: bytes
    ) -> None:
        amc.says(body)
        with pytest.raises(OutcomeUnknown, match="AMC took the request"):
            ONCE[call][0](client)

    @pytest.mark.parametrize("call", ONCE)
    def test_a_refusal_is_passed_on_in_amcs_words(self, amc: Amc, client: AmcClient, call: str) -> None:
        amc.says({"code": "400", "details": "there is an open request"}, status=400)
        with pytest.raises(Refused, match="there is an open request"):
            ONCE[call][0](client)


class TestAdvertiserUpdates:
    @pytest.mark.parametrize("document", [UPDATE, {"advertiserUpdate": UPDATE}], ids=["flat", "wrapped"])
    def test_starting_one_names_who_comes_and_who_goes(
        self, amc: Amc, client: AmcClient, document: Any
    ) -> None:
        amc.says(document)
        assert client.start_advertiser_update([SONAR], [LUMEN])["updateId"] == 0
        assert amc.paths == [f"POST {OWN}/advertisers/updates"]
        assert amc.asked[0].body == {
            "advertisersToAdd": [{"id": "A1", "type": "DISPLAY"}],
            "advertisersToRemove": [
                {"id": "ENTITY7", "type": "SPONSORED_ADS", "marketplaceId": "ATVPDKIKX0DER"}
            ],
        }

    @pytest.mark.parametrize(
        ("add", "remove", "is_sent"),
        [(10, 10, True), (1, 0, True), (0, 1, True), (11, 0, False), (0, 11, False), (0, 0, False)],
    )
    def test_ten_each_are_taken_and_no_more(
        self, amc: Amc, client: AmcClient, add: int, remove: int, is_sent: bool
    ) -> None:
        amc.says({"advertiserUpdate": UPDATE})
        if is_sent:
            client.start_advertiser_update([SONAR] * add, [LUMEN] * remove)
        else:
            with pytest.raises(UsageError):
                client.start_advertiser_update([SONAR] * add, [LUMEN] * remove)
        assert len(amc.asked) == is_sent

    def test_all_updates_and_one(self, amc: Amc, client: AmcClient) -> None:
        amc.says(
            {"advertiserUpdates": [{"updateId": 0, "status": "COMPLETE"}], "nextToken": "t"},
            {"advertiserUpdates": [{"updateId": 1, "status": "REJECTED"}], "nextToken": None},
            {"advertiserUpdate": UPDATE | {"status": "COMPLETE"}},
        )
        assert [(u["updateId"], u["status"]) for u in client.advertiser_updates()] == [
            (0, "COMPLETED"),
            (1, "REJECTED"),
        ]
        assert client.advertiser_update(0) == UPDATE | {"status": "COMPLETED"}
        assert amc.paths == [f"GET {OWN}/advertisers/updates"] * 2 + [f"GET {OWN}/advertisers/updates/0"]

    def test_one_that_is_not_there_is_none(self, amc: Amc, client: AmcClient) -> None:
        amc.says(NO, status=404)
        assert client.advertiser_update(5) is None


class TestCollaboration:
    def test_it_comes_in_either_envelope(self, amc: Amc, client: AmcClient) -> None:
        amc.says({"collaboration": {"id": "c"}}, {"id": "c"})
        assert client.collaboration() == client.collaboration() == {"id": "c"}
        assert amc.paths == [f"GET {OWN}/collaboration"] * 2

    def test_an_instance_without_one_has_none(self, amc: Amc, client: AmcClient) -> None:
        amc.says(NO, status=404)
        assert client.collaboration() is None

    @pytest.mark.parametrize(
        ("ask", "path", "name"),
        [
            (AmcClient.id_mapping_tables, "idmappingtables", "idMappingTables"),
            (AmcClient.id_namespaces, "idnamespaces", "collaborationIdNamespaceAssociations"),
        ],
    )
    def test_lists_are_posted_for_and_asked_again_as_any_list(
        self, amc: Amc, client: AmcClient, ask: Callable[[AmcClient], Any], path: str, name: str
    ) -> None:
        amc.says({name: [{"id": "a"}], "nextToken": "t"})
        amc.says(b"", status=503)
        amc.says({name: [{"id": "a"}, {"id": "b"}], "nextToken": None})
        assert ask(client) == [{"id": "a"}, {"id": "b"}]
        assert amc.paths == [f"POST {OWN}/collaboration/{path}/list"] * 3
        assert [asked.body for asked in amc.asked] == [
            {"maxResults": 100},
            {"maxResults": 100, "nextToken": "t"},
            {"maxResults": 100, "nextToken": "t"},
        ]

    @pytest.mark.parametrize(
        ("body", "error"),
        [
            (b"", Unavailable),
            (b"{}", Unavailable),
            (b'{"idMappingTables": [], "nextToken": "again"}', Refused),
        ],
    )
    def test_a_list_that_is_missing_or_has_no_end_is_said(
        self, amc: Amc, client: AmcClient, body: bytes, error: type[Exception]
    ) -> None:
        amc.says(body)
        with pytest.raises(error, match="list of idMappingTables"):
            client.id_mapping_tables()


class TestSchedulesAndDataSources:
    @pytest.mark.parametrize("wrap", [False, True], ids=["flat", "wrapped"])
    def test_one_comes_in_either_envelope(self, amc: Amc, client: AmcClient, wrap: bool) -> None:
        source = {"dataSourceId": "dsp_clicks", "columns": []}
        amc.says({"schedule": SCHEDULE} if wrap else SCHEDULE, {"dataSource": source} if wrap else source)
        assert client.schedule("daily") == SCHEDULE
        assert client.data_source("dsp_clicks") == source
        assert amc.paths == [f"GET {REPORTING}/schedules/daily", f"GET {REPORTING}/dataSources/dsp_clicks"]

    def test_one_that_is_not_there_is_none(self, amc: Amc, client: AmcClient) -> None:
        amc.says(NO, status=404)
        assert client.schedule("daily") is None
        assert client.data_source("nothing") is None

    def test_a_schedule_is_created_updated_and_deleted(self, amc: Amc, client: AmcClient) -> None:
        amc.says({}, headers={"Content-Type": "application/octet-stream"})
        client.create_schedule(SCHEDULE)
        client.update_schedule(SCHEDULE)
        assert client.delete_schedule("daily") is True
        assert amc.paths == [
            f"POST {REPORTING}/schedules",
            f"PUT {REPORTING}/schedules/daily",
            f"DELETE {REPORTING}/schedules/daily",
        ]
        assert [asked.body for asked in amc.asked] == [SCHEDULE, SCHEDULE, None]

    @pytest.mark.parametrize(
        ("delete", "path"),
        [(AmcClient.delete_schedule, "schedules"), (AmcClient.delete_execution, "workflowExecutions")],
    )
    def test_deleting_says_whether_there_was_one(
        self, amc: Amc, client: AmcClient, delete: Callable[[AmcClient, str], bool], path: str
    ) -> None:
        amc.says({})
        amc.says(NO, status=404)
        assert [delete(client, "x"), delete(client, "x")] == [True, False]
        assert amc.paths == [f"DELETE {REPORTING}/{path}/x"] * 2
