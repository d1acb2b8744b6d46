"""Does the client ask what AMC expects, and understand what AMC answers?"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from amci.kernel.errors import ConfigError, OutcomeUnknown, Refused, Unavailable, UsageError
from amci.tenants.model import Tenant
from amci.workflows.amazon.transport import InProcess
from amci.workflows.amc.client import AmcClient
from amci.workflows.amc.model import ExecutionRequest, ExecutionStatus, TimeWindow, WindowType

from .conftest import Amc

SINCE = datetime(2026, 11, 1, 6, 30, 15, 999999, tzinfo=timezone(timedelta(hours=2)))
REPORTING = "/amc/reporting/amcabc12345"
EXISTS = {"code": "400", "details": "Workflow with ID reach already exists."}
DEFINITION = {"workflowId": "reach", "sqlQuery": "SELECT 1"}


def shown(execution_id: str, **more: Any) -> dict[str, Any]:
    return {"workflowExecutionId": execution_id, "workflowId": "reach", "status": "PENDING"} | more


class TestHeaders:
    def test_reporting_is_asked_for_one_account(self, amc: Amc, client: AmcClient) -> None:
        amc.says({"workflows": []})
        client.workflows()
        headers = amc.asked[0].headers
        assert headers["amazon-advertising-api-advertiserid"] == "ENTITY1"
        assert headers["amazon-advertising-api-marketplaceid"] == "ATVPDKIKX0DER"
        assert headers["amazon-advertising-api-clientid"] == "amzn1.client"
        assert headers["authorization"] == "Bearer Atza|planted-access"
        assert headers["accept"] == headers["content-type"] == "application/json"

    def test_accounts_are_asked_for_without_an_account(self, amc: Amc, client: AmcClient) -> None:
        amc.says({"amcAccounts": [{"accountId": "ENTITY1", "accountName": "Acme", "marketplaceId": "M"}]})
        assert [(a.account_id, a.name, a.marketplace_id) for a in client.accounts()] == [
            ("ENTITY1", "Acme", "M")
        ]
        headers = amc.asked[0].headers
        assert "amazon-advertising-api-advertiserid" not in headers
        assert "amazon-advertising-api-marketplaceid" not in headers
        assert "authorization" in headers

    @pytest.mark.parametrize("field", ["instance_id", "advertiser_id", "marketplace_id"])
    def test_a_missing_id_is_said_before_anything_is_sent(
        self, amc: Amc, connect: Callable[..., AmcClient], tenant: Tenant, field: str
    ) -> None:
        client = connect(tenant.model_copy(update={field: ""}))
        with pytest.raises(ConfigError, match=rf"tenant acme: {field}: is needed"):
            client.workflows()
        assert amc.asked == []

    def test_an_id_no_header_can_carry_is_said(
        self, connect: Callable[..., AmcClient], tenant: Tenant
    ) -> None:
        client = connect(tenant.model_copy(update={"advertiser_id": "ENTITÄT"}))
        with pytest.raises(UsageError, match="cannot be asked"):
            client.workflows()

    def test_an_ended_token_is_renewed_and_the_request_sent_again(self, amc: Amc, client: AmcClient) -> None:
        amc.says({"code": "401", "details": "expired"}, status=401)
        amc.says(shown("e1"))
        assert client.create_execution(ExecutionRequest(workflow_id="reach")).workflow_execution_id == "e1"
        assert [a.headers["authorization"] for a in amc.asked] == [
            "Bearer Atza|planted-access",
            "Bearer Atza|fresh1",
        ]
        assert amc.logins == 1


class TestAdministration:
    def test_instances(self, amc: Amc, client: AmcClient) -> None:
        one = {"instanceId": "amcaaaaaaaa", "instanceName": "One", "creationStatus": "COMPLETED"}
        two = {"instanceId": "amcbbbbbbbb", "instanceName": "Two", "creationStatus": "IN_PROGRESS"}
        amc.says({"instances": [one], "nextToken": "t"}, {"instances": [two], "nextToken": None})
        assert [(i.instance_id, i.creation_status) for i in client.instances()] == [
            ("amcaaaaaaaa", "COMPLETED"),
            ("amcbbbbbbbb", "IN_PROGRESS"),
        ]
        assert [dict(a.query) for a in amc.asked] == [{"limit": "100"}, {"limit": "100", "nextToken": "t"}]

    def test_one_instance_is_wrapped(self, amc: Amc, client: AmcClient) -> None:
        amc.says({"instance": {"instanceId": "amcabc12345", "creationStatus": "SUCCEEDED"}})
        assert client.instance("amcabc12345").creation_status == "COMPLETED"
        assert amc.paths == ["GET /amc/instances/amcabc12345"]

    def test_an_advertiser_may_be_there_once_for_each_type(self, amc: Amc, client: AmcClient) -> None:
        both = [{"id": "A1", "name": "Acme", "type": t, "marketplaceId": None} for t in ("DISPLAY", "SAS")]
        amc.says({"advertisers": both, "totalCount": 2})
        assert [(a.advertiser_id, a.type, a.marketplace_id) for a in client.advertisers()] == [
            ("A1", "DISPLAY", None),
            ("A1", "SAS", None),
        ]
        assert amc.paths == ["GET /amc/instances/amcabc12345/advertisers"]


class TestWorkflows:
    @pytest.mark.parametrize("document", [DEFINITION, {"workflow": DEFINITION}], ids=["flat", "wrapped"])
    def test_a_workflow_comes_in_either_envelope(
        self, amc: Amc, client: AmcClient, document: dict[str, Any]
    ) -> None:
        amc.says(document)
        assert client.workflow("reach") == DEFINITION

    def test_one_that_is_not_there_is_none(self, amc: Amc, client: AmcClient) -> None:
        amc.says({"code": "404", "details": "no"}, status=404)
        assert client.workflow("reach") is None

    @pytest.mark.parametrize("body", [b"{}", b"", b"OK"], ids=["json", "empty", "text"])
    def test_putting_a_new_one_creates_it_whatever_the_body(
        self, amc: Amc, client: AmcClient, body: bytes
    ) -> None:
        amc.says(body, headers={"Content-Type": "application/octet-stream"})
        assert client.put_workflow(DEFINITION) == "CREATED"
        assert amc.paths == [f"POST {REPORTING}/workflows"]
        assert amc.asked[0].body == DEFINITION

    def test_putting_one_that_is_there_updates_it(self, amc: Amc, client: AmcClient) -> None:
        amc.says(EXISTS, status=400)
        amc.says({})
        assert client.put_workflow(DEFINITION) == "UPDATED"
        assert amc.paths == [f"POST {REPORTING}/workflows", f"PUT {REPORTING}/workflows/reach"]
        assert amc.asked[1].body == DEFINITION

    def test_any_other_refusal_is_passed_on_in_amcs_words(self, amc: Amc, client: AmcClient) -> None:
        text = "Was unable to compile workflow reach because it was found to be invalid: Object 'x' not found"
        amc.says({"code": "400", "details": text}, status=400)
        with pytest.raises(Refused) as caught:
            client.put_workflow(DEFINITION)
        assert caught.value.details == text
        assert len(amc.asked) == 1

    def test_a_creation_whose_answer_was_lost_is_finished_by_putting(
        self, amc: Amc, client: AmcClient
    ) -> None:
        amc.says(b"", ends="close")
        amc.says(EXISTS, status=400)
        amc.says({})
        assert client.put_workflow(DEFINITION) == "UPDATED"

    def test_a_creation_alone_is_not_repeated(self, amc: Amc, client: AmcClient) -> None:
        amc.says(b"", ends="close")
        with pytest.raises(OutcomeUnknown):
            client.create_workflow(DEFINITION)
        assert len(amc.asked) == 1

    def test_deleting_says_whether_there_was_one(self, amc: Amc, client: AmcClient) -> None:
        amc.says({})
        amc.says({"code": "404", "details": "no"}, status=404)
        assert [client.delete_workflow("reach"), client.delete_workflow("reach")] == [True, False]
        assert amc.paths == [f"DELETE {REPORTING}/workflows/reach"] * 2

    @pytest.mark.parametrize("workflow_id", ["", ".", ".."])
    def test_an_id_that_would_lead_elsewhere_is_not_sent(
        self, amc: Amc, client: AmcClient, workflow_id: str
    ) -> None:
        with pytest.raises(UsageError, match="is not an id"):
            client.delete_workflow(workflow_id)
        assert amc.asked == []

    def test_an_id_stays_one_segment_of_the_path(self, amc: Amc, client: AmcClient) -> None:
        amc.says({})
        client.delete_workflow("a/b?c")
        assert amc.paths == [f"DELETE {REPORTING}/workflows/a%2Fb%3Fc"]

    def test_schedules_and_data_sources_are_as_amc_spells_them(self, amc: Amc, client: AmcClient) -> None:
        amc.says({"schedules": [{"scheduleId": "s"}]}, {"dataSources": [{"dataSourceId": "dsp_clicks"}]})
        assert client.schedules() == [{"scheduleId": "s"}]
        assert client.data_sources() == [{"dataSourceId": "dsp_clicks"}]
        assert amc.paths == [f"GET {REPORTING}/schedules", f"GET {REPORTING}/dataSources"]


class TestExecutions:
    def test_creating_sends_the_request_and_reads_the_answer(self, amc: Amc, client: AmcClient) -> None:
        amc.says(shown("e1"), headers={"Content-Type": "application/vnd.amcworkflowexecutions.v1+json"})
        window = TimeWindow(type=WindowType.EXPLICIT, start="2026-10-01T00:00:00", end="2026-11-01T00:00:00")
        made = client.create_execution(ExecutionRequest(workflow_id="reach", window=window, dry_run=True))
        assert (made.workflow_execution_id, made.status) == ("e1", ExecutionStatus.PENDING)
        assert amc.paths == [f"POST {REPORTING}/workflowExecutions"]
        assert amc.asked[0].body == {
            "workflowId": "reach",
            "timeWindowType": "EXPLICIT",
            "timeWindowStart": "2026-10-01T00:00:00",
            "timeWindowEnd": "2026-11-01T00:00:00",
            "timeWindowTimeZone": "UTC",
            "dryRun": True,
        }

    @pytest.mark.parametrize(
        "body", [b"", b"<html>", b"{}", b'{"workflowExecutionId": "e1", "status": "NEW_WORD"}']
    )
    def test_an_answer_without_a_readable_execution_leaves_the_outcome_unknown(
        self, amc: Amc, client: AmcClient, body: bytes
    ) -> None:
        amc.says(body)
        with pytest.raises(OutcomeUnknown, match="AMC took the request"):
            client.create_execution(ExecutionRequest(workflow_id="reach"))
        assert len(amc.asked) == 1

    @pytest.mark.parametrize("wrap", [False, True], ids=["flat", "wrapped"])
    def test_one_execution(self, amc: Amc, client: AmcClient, wrap: bool) -> None:
        amc.says({"workflowExecution": shown("e1")} if wrap else shown("e1"))
        found = client.execution("e1")
        assert found
        assert found.workflow_execution_id == "e1"
        assert amc.paths == [f"GET {REPORTING}/workflowExecutions/e1"]

    def test_one_amc_does_not_know_is_none(self, amc: Amc, client: AmcClient) -> None:
        amc.says({"code": "404", "details": "no"}, status=404)
        assert client.execution("e1") is None

    def test_an_unknown_status_is_said(self, amc: Amc, client: AmcClient) -> None:
        amc.says(shown("e1", status="VALIDATING"))
        with pytest.raises(Refused, match="unknown status of an execution, 'VALIDATING'"):
            client.execution("e1")

    def test_in_a_list_it_does_not_hide_the_others(self, amc: Amc, client: AmcClient) -> None:
        amc.says({"executions": [shown("e1"), shown("e2", status="VALIDATING"), shown("e3")]})
        assert [e.workflow_execution_id for e in client.executions(SINCE)] == ["e1", "e3"]

    def test_the_list_asks_for_cancelled_ones_too_and_goes_through_all_pages(
        self, amc: Amc, client: AmcClient
    ) -> None:
        amc.says(
            {"executions": [shown("e3"), shown("e2")], "nextToken": "two"},
            # One more was created meanwhile, so that the last of the first page is here again.
            {"executions": [shown("e2"), shown("e1", status="CANCELLED")], "nextToken": ""},
        )
        found = list(client.executions(SINCE, "reach"))
        assert [e.workflow_execution_id for e in found] == ["e3", "e2", "e1"]
        asked = {
            "minCreationTime": "2026-11-01T04:30:15",
            "includeCancelled": "true",
            "limit": "100",
            "workflowId": "reach",
        }
        assert [a.query for a in amc.asked] == [asked, asked | {"nextToken": "two"}]

    def test_without_a_workflow_none_is_asked_for(self, amc: Amc, client: AmcClient) -> None:
        amc.says({"executions": []})
        assert list(client.executions(SINCE)) == []
        assert "workflowId" not in amc.asked[0].query

    def test_pages_that_repeat_a_token_come_to_an_end(self, amc: Amc, client: AmcClient) -> None:
        amc.says({"executions": [shown("e1")], "nextToken": "again"})
        with pytest.raises(Refused, match="list of executions has no end"):
            list(client.executions(SINCE))
        assert len(amc.asked) == 2

    def test_pages_without_end_come_to_one(self, connect: Callable[..., AmcClient]) -> None:
        asked = itertools.count()

        def respond(*_: object) -> tuple[int, dict[str, str], bytes]:
            return 200, {}, json.dumps({"executions": [], "nextToken": str(next(asked))}).encode()

        with pytest.raises(Refused, match="list of executions has no end"):
            list(connect(transport=InProcess(respond)).executions(SINCE))
        assert next(asked) == 1000

    def test_a_list_that_is_missing_is_not_an_empty_one(self, amc: Amc, client: AmcClient) -> None:
        amc.says({})
        with pytest.raises(Unavailable, match="no list of executions"):
            list(client.executions(SINCE))

    def test_cancelling_shows_how_it_stands_then(self, amc: Amc, client: AmcClient) -> None:
        amc.says({}, shown("e1", status="CANCELLED"))
        assert client.cancel_execution("e1").status is ExecutionStatus.CANCELLED
        assert amc.paths == [f"{verb} {REPORTING}/workflowExecutions/e1" for verb in ("PUT", "GET")]
        assert amc.asked[0].body == {"status": "CANCELLED"}

    def test_cancelling_one_that_ended_is_refused(self, amc: Amc, client: AmcClient) -> None:
        amc.says({"code": "400", "details": "it has ended"}, status=400)
        amc.says(shown("e1", status="SUCCEEDED"))
        with pytest.raises(Refused, match="it has ended"):
            client.cancel_execution("e1")

    def test_cancelling_again_after_a_lost_answer_finds_it_cancelled(
        self, amc: Amc, client: AmcClient
    ) -> None:
        amc.says(b"", ends="close")
        amc.says({"code": "400", "details": "it has ended"}, status=400)
        amc.says(shown("e1", status="CANCELLED"))
        assert client.cancel_execution("e1").status is ExecutionStatus.CANCELLED


class TestDownloads:
    def test_links(self, amc: Amc, client: AmcClient) -> None:
        amc.says({"downloadUrls": ["https://a", "https://b"], "metadataDownloadUrls": None, "nextToken": "x"})
        found = client.downloads("e1")
        assert (found.urls, found.metadata_urls) == (("https://a", "https://b"), ())
        assert amc.paths == [f"GET {REPORTING}/workflowExecutions/e1/downloadUrls"]

    def test_not_ready_is_refused_in_amcs_words(self, amc: Amc, client: AmcClient) -> None:
        amc.says({"code": "404", "details": "Execution with ID e1 is unavailable for download."}, status=404)
        with pytest.raises(Refused, match="unavailable for download") as caught:
            client.downloads("e1")
        assert caught.value.status == 404

    def test_an_answer_without_links_is_not_a_result_without_files(self, amc: Amc, client: AmcClient) -> None:
        amc.says({})
        with pytest.raises(Unavailable, match="no download links"):
            client.downloads("e1")
