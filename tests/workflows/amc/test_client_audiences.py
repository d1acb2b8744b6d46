"""Does the client ask for audiences as AMC expects it, and never for the same one twice?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from amci.app.audiences import require_as_sent
from amci.kernel.errors import (
    ConfigError,
    OutcomeUnknown,
    Refused,
    RemoteError,
    Throttled,
    Unavailable,
    UsageError,
)
from amci.kernel.testing import FakeClock
from amci.sandbox.faults import InjectedFault
from amci.sandbox.options import SandboxInstance, SandboxOptions
from amci.sandbox.service import Sandbox
from amci.tenants.model import Tenant
from amci.workflows.amazon.transport import InProcess
from amci.workflows.amc.audience_model import AudienceRequest, AudienceStatus, Reach
from amci.workflows.amc.audience_wire import differing
from amci.workflows.amc.client import AmcClient

from .conftest import Amc

PATH = "/amc/audiences/query"
ASKED = AudienceRequest(
    name="Seen",
    advertiser_id="1234567890",
    window_start=datetime(2026, 10, 1, tzinfo=UTC),
    window_end=datetime(2026, 10, 8, tzinfo=UTC),
    query="SELECT user_id FROM dsp_impressions_for_audiences",
)
SHOWN = {
    "advertiserId": "1234567890",
    "audienceExecutionId": "a1",
    "audienceName": "AMC Seen",
    "audienceCount": 2612,
    "audienceType": "RULE_BASED",
    "createTime": "2026-11-01T06:00:00.123Z",
    "dspCanonicalId": "417",
    "query": "SELECT  user_id\nFROM dsp_impressions_for_audiences",
    "refreshRateDays": 21,
    "status": "SUCCEEDED",
    "timeWindowStart": "2026-10-01T00:00:00Z",
    "timeWindowEnd": "2026-10-08T00:00:00Z",
    "timeWindowRelative": False,
}
NONE = {"executionMetadata": []}
STARTED = {"audienceExecutionId": "a2", "status": "PENDING", "audienceExecutionDescription": "Started."}
NO = {"code": "404", "details": "no", "requestId": "R"}


class TestAsking:
    def test_a_request_says_only_what_is_set(self, amc: Amc, client: AmcClient) -> None:
        amc.says(NONE)
        amc.says(STARTED, headers={"Content-Type": "application/octet-stream"})
        assert client.create_audience(ASKED) == "a2"
        assert amc.paths == [f"GET {PATH}", f"POST {PATH}"]
        assert amc.asked[1].body == {
            "audienceName": "Seen",
            "advertiserId": "1234567890",
            "query": "SELECT user_id FROM dsp_impressions_for_audiences",
            "timeWindowStart": "2026-10-01T00:00:00Z",
            "timeWindowEnd": "2026-10-08T00:00:00Z",
            "timeWindowRelative": False,
        }

    def test_headers_name_account_instance_and_version(self, amc: Amc, client: AmcClient) -> None:
        amc.says(NONE)
        amc.says(STARTED)
        client.create_audience(replace(ASKED, reach=Reach.BROAD))
        assert [asked.headers["accept"] for asked in amc.asked] == [
            "application/vnd.amcquerybasedaudience.v1.2+json",
            "application/vnd.amclookalikeaudience.v1+json, application/json",
        ]
        for asked in amc.asked:
            assert asked.headers["amazon-advertising-api-entityid"] == "ENTITY1"
            assert asked.headers["amazon-marketing-cloud-audience-instanceid"] == "amcabc12345"
            assert "amazon-advertising-api-advertiserid" not in asked.headers

    def test_a_lookalike_audience_has_a_route_of_its_own(self, amc: Amc, client: AmcClient) -> None:
        declared = ({"name": "x", "dataType": "STRING"},)
        amc.says(NONE)
        amc.says(STARTED)
        request = replace(
            ASKED,
            reach=Reach.MOST_SIMILAR,
            refresh_days=7,
            is_window_moving=True,
            input_parameters=declared,
            parameter_values={"x": "y"},
        )
        client.create_audience(request)
        assert amc.paths[1] == "POST /amc/audiences/lookalike"
        assert (
            amc.asked[1].body.items()
            >= {
                "lookalikeAudienceExpectedReach": "MOST_SIMILAR",
                "refreshRateDays": 7,
                "timeWindowRelative": True,
                "inputParameters": list(declared),
                "parameterValues": {"x": "y"},
            }.items()
        )

    @pytest.mark.parametrize(
        ("fields", "says"),
        [
            ({"name": " "}, "needs a name and an advertiser"),
            ({"workflow_id": "reach"}, "needs a query or a workflow"),
            ({"query": None}, "needs a query or a workflow"),
            ({"window_end": ASKED.window_start}, "ends before it starts"),
            ({"refresh_days": 22}, "cannot be refreshed every 22 days"),
            (
                {"refresh_days": 0, "reach": Reach.BROAD},
                "a lookalike audience cannot be refreshed every 0 days",
            ),
        ],
    )
    def test_what_amc_never_takes_is_not_sent(
        self, amc: Amc, client: AmcClient, fields: dict[str, Any], says: str
    ) -> None:
        with pytest.raises(UsageError, match=says):
            client.create_audience(replace(ASKED, **fields))
        assert amc.asked == []

    def test_a_tenant_without_an_instance_has_no_audiences(
        self, connect: Callable[..., AmcClient], tenant: Tenant
    ) -> None:
        with pytest.raises(ConfigError):
            connect(tenant.model_copy(update={"instance_id": ""})).audience("a1")


class TestOnce:
    """AMC makes twins of two equal requests."""

    LOST: tuple[dict[str, Any], ...] = ({"ends": "close"}, {"status": 503}, {"status": 200})

    @pytest.mark.parametrize("lost", LOST)
    def test_what_a_lost_answer_made_is_found_and_taken(
        self, amc: Amc, client: AmcClient, lost: dict[str, Any]
    ) -> None:
        twin = SHOWN | {"audienceExecutionId": "old"}
        later = SHOWN | {"audienceExecutionId": "later", "createTime": "2026-11-01T06:00:09.000Z"}
        other = SHOWN | {"audienceExecutionId": "other", "query": "SELECT user_id FROM b"}
        amc.says({"executionMetadata": [twin]})
        amc.says(b"", **lost)
        amc.says({"executionMetadata": [later, other, SHOWN, twin]})
        assert client.create_audience(ASKED) == "a1"
        assert amc.paths == [f"GET {PATH}", f"POST {PATH}", f"GET {PATH}"]

    @pytest.mark.parametrize("listed", [[], [SHOWN | {"audienceName": "Other"}]])
    def test_what_is_not_found_is_not_asked_for_again(
        self, amc: Amc, client: AmcClient, listed: list[Any]
    ) -> None:
        amc.says(NONE)
        amc.says(b"", ends="close")
        amc.says({"executionMetadata": listed})
        with pytest.raises(OutcomeUnknown, match="shows no such audience yet") as caught:
            client.create_audience(ASKED)
        assert "amci audience list" in caught.value.hint
        assert amc.paths.count(f"POST {PATH}") == 1

    def test_where_it_cannot_be_looked_for_the_outcome_stays_unknown(
        self, amc: Amc, client: AmcClient
    ) -> None:
        amc.says(NONE)
        amc.says(b"", ends="close")
        amc.says(NO, status=404)
        with pytest.raises(OutcomeUnknown):
            client.create_audience(ASKED)

    def test_a_refused_request_is_refused(self, amc: Amc, client: AmcClient) -> None:
        amc.says(NONE)
        amc.says({"code": "400", "details": "audienceName is required.", "requestId": "R"}, status=400)
        with pytest.raises(Refused, match="audienceName is required") as caught:
            client.create_audience(ASKED)
        assert caught.value.request_id == "R"

    def test_too_many_requests_make_nothing(self, amc: Amc, client: AmcClient) -> None:
        amc.says(NONE)
        amc.says({"code": "429", "details": "Too Many Requests"}, status=429)
        with pytest.raises(Throttled):
            client.create_audience(ASKED)
        assert amc.paths.count(f"POST {PATH}") == 1

    def test_a_change_is_sent_once_and_looked_at(self, amc: Amc, client: AmcClient) -> None:
        amc.says(b"", ends="close")
        amc.says(SHOWN | {"status": "PENDING"})
        client.update_audience("a1", ASKED)
        assert amc.paths == [f"PUT {PATH}/a1", f"GET {PATH}/a1"]
        assert amc.asked[0].body["audienceType"] == "RULE_BASED"
        assert "refreshRateDays" not in amc.asked[0].body

    @pytest.mark.parametrize(("status", "document"), [(200, SHOWN | {"status": "FAILED"}), (404, NO)])
    def test_a_change_that_may_not_have_been_made_is_said(
        self, amc: Amc, client: AmcClient, status: int, document: Any
    ) -> None:
        amc.says(b"", ends="close")
        amc.says(document, status=status)
        with pytest.raises(OutcomeUnknown):
            client.update_audience("a1", ASKED)


class TestLooking:
    def test_an_audience_is_read(self, amc: Amc, client: AmcClient) -> None:
        amc.says(SHOWN)
        found = client.audience("a/1")
        assert found
        assert amc.paths == [f"GET {PATH}/a%2F1"]
        assert (found.name, found.status, found.members, found.is_lookalike) == (
            "AMC Seen",
            AudienceStatus.SUCCEEDED,
            2612,
            False,
        )
        assert found.created_at == datetime(2026, 11, 1, 6, 0, 0, 123000, tzinfo=UTC)
        assert (found.window_start, found.window_end) == (ASKED.window_start, ASKED.window_end)
        assert found.dsp_canonical_id == "417"

    @pytest.mark.parametrize("name", ["executionMetadata", "executionDataList"])
    def test_lists_come_under_either_name_page_by_page(self, amc: Amc, client: AmcClient, name: str) -> None:
        amc.says({name: [SHOWN], "nextToken": "n"})
        amc.says({name: [SHOWN, SHOWN | {"audienceExecutionId": "a2"}], "nextToken": None})
        assert [found.audience_id for found in client.audiences()] == ["a1", "a2"]
        assert [asked.query for asked in amc.asked] == [
            {"maxResults": "100"},
            {"maxResults": "100", "nextToken": "n"},
        ]

    @pytest.mark.parametrize(
        "fields",
        [{"status": "SLEEPING"}, {"createTime": "soon"}, {"audienceCount": "many"}, {"status": None}],
    )
    def test_one_that_cannot_be_read_does_not_hide_the_others(
        self, amc: Amc, client: AmcClient, fields: dict[str, Any]
    ) -> None:
        amc.says({"executionMetadata": [SHOWN | fields, SHOWN | {"audienceExecutionId": "a2"}]})
        assert [found.audience_id for found in client.audiences()] == ["a2"]

    def test_what_is_not_there_is_none_and_cannot_be_deleted(self, amc: Amc, client: AmcClient) -> None:
        amc.says(NO, status=404)
        assert client.audience("a1") is None
        assert not client.delete_audience("a1")

    def test_a_failed_audience_is_deleted(self, amc: Amc, client: AmcClient) -> None:
        amc.says(b"", status=204)
        assert client.delete_audience("a1")
        assert amc.paths == [f"DELETE {PATH}/a1"]


class TestOnTheSandbox:
    """Do the client and the sandbox mean the same?"""

    @pytest.fixture
    def sandbox(self, tmp_path: Path, clock: FakeClock, tenant: Tenant) -> Iterator[Sandbox]:
        known = SandboxInstance(
            instance_id=tenant.instance_id,
            entity_id=tenant.advertiser_id,
            marketplace_id=tenant.marketplace_id,
            name="acme",
        )
        # everything stays PENDING: no query is run
        sandbox = Sandbox(tmp_path, clock, SandboxOptions(instances=(known,), pending=timedelta(days=1)))
        yield sandbox
        sandbox.close()

    @pytest.fixture
    def client(self, sandbox: Sandbox, connect: Callable[..., AmcClient]) -> AmcClient:
        return connect(transport=InProcess(sandbox.respond))

    def test_what_is_asked_for_is_what_is_shown(self, client: AmcClient) -> None:
        request = replace(
            ASKED,
            reach=Reach.SIMILAR,
            refresh_days=9,
            is_window_moving=True,
            description="d",
            country_code="DE",
        )
        found = client.audience(client.create_audience(request))
        assert found
        assert (found.status, found.is_lookalike, found.reach) == (AudienceStatus.PENDING, True, "SIMILAR")
        assert (found.name, found.description, found.query) == ("Seen", "d", ASKED.query)
        assert (found.refresh_days, found.is_window_moving) == (9, True)
        assert (found.window_start, found.window_end) == (ASKED.window_start, ASKED.window_end)
        assert [each.audience_id for each in client.audiences()] == [found.audience_id]

    @pytest.mark.parametrize(
        "fields",
        [{}, {"reach": Reach.SIMILAR, "refresh_days": 9}, {"is_window_moving": True}, {"description": "d"}],
    )
    def test_an_audience_that_amc_shows_otherwise_than_it_was_sent_is_told(
        self, client: AmcClient, sandbox: Sandbox, fields: dict[str, Any]
    ) -> None:
        request = replace(ASKED, **fields)
        audience_id = client.create_audience(request)
        shown = client.audience(audience_id)
        assert shown
        assert differing(request, shown) == []
        require_as_sent(request, shown)
        sandbox.faults.add(InjectedFault("other_text", "GET", f"{PATH}/*"))
        other = client.audience(audience_id)
        assert other
        assert differing(request, other) == ["query"]
        with pytest.raises(RemoteError, match=r"than was sent: hash [0-9a-f]{16} here, [0-9a-f]{16} in AMC"):
            require_as_sent(request, other)

    @pytest.mark.parametrize("kind", ["no_answer_after", "empty_body"])
    def test_an_audience_is_made_once_whatever_becomes_of_the_answer(
        self, client: AmcClient, sandbox: Sandbox, kind: Any
    ) -> None:
        twin = client.create_audience(ASKED)
        sandbox.faults.add(InjectedFault(kind, method="POST", path=PATH))
        made = client.create_audience(ASKED)
        assert {found.audience_id for found in client.audiences()} == {twin, made}

    @pytest.mark.parametrize(
        ("kind", "error"),
        [("no_connection", Unavailable), ("throttle", Throttled), ("error", OutcomeUnknown)],
    )
    def test_where_none_was_made_none_is_taken(
        self, client: AmcClient, sandbox: Sandbox, kind: Any, error: type[Exception]
    ) -> None:
        client.create_audience(ASKED)
        sandbox.faults.add(InjectedFault(kind, method="POST", path=PATH))
        with pytest.raises(error):
            client.create_audience(ASKED)
        assert len(list(client.audiences())) == 1

    def test_lists_of_many_come_whole(self, client: AmcClient) -> None:
        made = {client.create_audience(replace(ASKED, name=f"n{number}")) for number in range(3)}
        assert {found.audience_id for found in client.audiences()} == made
        with pytest.raises(Refused, match="only failed audiences can be deleted"):
            client.delete_audience(made.pop())
