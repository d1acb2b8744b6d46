"""Is AMC's JSON read as AMC writes it, and written as AMC reads it?"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from amci.kernel.errors import Refused, UsageError
from amci.workflows.amazon import answers
from amci.workflows.amc import wire
from amci.workflows.amc.model import (
    Account,
    Advertiser,
    Downloads,
    ExecutionRequest,
    ExecutionStatus,
    TimeWindow,
    WindowType,
)

#: The keys of a live answer (amc-api 2.2).
SUCCEEDED = {
    "createTime": "2026-11-01T06:00:00Z",
    "dataGaps": [],
    "executionCategory": "AD_HOC",
    "executionTime": 55,
    "lastUpdatedTime": "2026-11-01T06:03:00Z",
    "outputColumns": [{"columnType": "METRIC", "dataType": "LONG", "name": "reach"}],
    "parameterValues": {"campaign": "Spring"},
    "status": "SUCCEEDED",
    "timeWindowEnd": "2026-10-31T23:00:00Z",
    "timeWindowEndOriginal": "2026-11-01T00:00:00",
    "timeWindowStart": "2026-09-30T22:00:00Z",
    "timeWindowStartOriginal": "2026-10-01T00:00:00",
    "timeWindowTimeZoneOriginal": "Europe/Berlin",
    "workflowExecutionId": "0f8fad5b-d9cb-469f-a165-70867728950e",
    "workflowId": "reach",
}
#: At creation, with a relative window.
PENDING = {
    "workflowExecutionId": "e1",
    "workflowId": "reach",
    "status": "PENDING",
    "createTime": "2026-11-01T06:00:00",
}
EXPLICIT = TimeWindow(
    type=WindowType.EXPLICIT,
    start="2026-10-01T00:00:00",
    end="2026-11-01T00:00:00",
    time_zone="Europe/Berlin",
)


class TestReading:
    @pytest.mark.parametrize(
        "document", [SUCCEEDED, {"workflowExecution": SUCCEEDED}], ids=["flat", "wrapped"]
    )
    def test_an_execution_that_has_ended(self, document: dict[str, Any]) -> None:
        found = wire.execution(document)
        assert found.workflow_execution_id == "0f8fad5b-d9cb-469f-a165-70867728950e"
        assert (found.workflow_id, found.status) == ("reach", ExecutionStatus.SUCCEEDED)
        assert found.created_at == datetime(2026, 11, 1, 6, tzinfo=UTC)
        assert found.updated_at == datetime(2026, 11, 1, 6, 3, tzinfo=UTC)
        assert found.window_start == datetime(2026, 9, 30, 22, tzinfo=UTC)
        assert found.window_end == datetime(2026, 10, 31, 23, tzinfo=UTC)
        assert (found.window_start_local, found.window_end_local) == (
            "2026-10-01T00:00:00",
            "2026-11-01T00:00:00",
        )
        assert (found.time_zone, found.execution_seconds) == ("Europe/Berlin", 55.0)
        assert found.parameter_values == {"campaign": "Spring"}
        assert found.output_columns[0]["name"] == "reach"
        assert found.raw == SUCCEEDED

    def test_an_execution_just_created_has_times_without_z_and_no_window(self) -> None:
        found = wire.execution(PENDING)
        assert found.created_at == datetime(2026, 11, 1, 6, tzinfo=UTC)
        assert (found.window_start, found.window_end, found.window_start_local) == (None, None, None)
        assert (found.time_zone, found.status_reason, found.execution_seconds) == ("UTC", "", None)
        assert (found.parameter_values, found.output_columns) == ({}, ())

    def test_nulls_are_as_good_as_nothing(self) -> None:
        nothing = dict.fromkeys(set(SUCCEEDED) - set(PENDING))
        found, bare = wire.execution(PENDING | nothing), wire.execution(PENDING)
        assert {n: getattr(found, n) for n in found.__slots__ if n != "raw"} == {
            n: getattr(bare, n) for n in bare.__slots__ if n != "raw"
        }

    @pytest.mark.parametrize("word", [s.value for s in ExecutionStatus])
    def test_every_status_is_known(self, word: str) -> None:
        assert wire.execution(PENDING | {"status": word}).status == word

    @pytest.mark.parametrize(
        ("change", "text"),
        [
            ({"status": "VALIDATING"}, "an unknown status of an execution, 'VALIDATING'"),
            ({"status": None}, "an object without status"),
            ({"workflowExecutionId": ""}, "an object without workflowExecutionId"),
            ({"createTime": "yesterday"}, "createTime 'yesterday', which is not a time"),
            ({"createTime": "0001-01-01T00:00:00+14:00"}, "which is not a time"),
            ({"executionTime": "long"}, "executionTime 'long', which is not a number"),
            ({"executionTime": [1]}, "which is not a number"),
        ],
    )
    def test_what_cannot_be_read_is_said(self, change: dict[str, Any], text: str) -> None:
        with pytest.raises(Refused) as caught:
            wire.execution(PENDING | change)
        assert text in str(caught.value)
        assert caught.value.code == "unreadable"

    def test_numbers_may_come_as_text(self) -> None:
        assert wire.execution(PENDING | {"executionTime": "55"}).execution_seconds == 55.0

    @pytest.mark.parametrize("wrap", [False, True])
    def test_an_instance(self, wrap: bool) -> None:
        flat = {"instanceId": "amcabc12345", "instanceName": "Acme", "creationStatus": "IN_PROGRESS"}
        found = wire.instance({"instance": flat} if wrap else flat)
        assert (found.instance_id, found.name, found.creation_status) == (
            "amcabc12345",
            "Acme",
            "IN_PROGRESS",
        )
        assert (found.instance_type, found.raw) == ("STANDARD", flat)

    def test_the_old_name_of_completed(self) -> None:
        assert (
            wire.instance({"instanceId": "i", "creationStatus": "SUCCEEDED"}).creation_status == "COMPLETED"
        )

    @pytest.mark.parametrize("wrap", [True, False])
    def test_an_advertiser_update_has_the_new_name_of_its_status(self, wrap: bool) -> None:
        flat = {"updateId": 0, "status": "COMPLETE"}
        found = wire.advertiser_update({"advertiserUpdate": flat} if wrap else flat)
        assert found == {"updateId": 0, "status": "COMPLETED"}

    @pytest.mark.parametrize("document", [{}, {"updateId": 1}, {"status": "PENDING"}])
    def test_what_is_no_advertiser_update_is_said(self, document: dict[str, Any]) -> None:
        with pytest.raises(Refused, match="an object without"):
            wire.advertiser_update(document)

    @pytest.mark.parametrize("document", [None, [], "x", {}])
    def test_what_has_no_list_is_not_an_empty_one(self, document: object) -> None:
        assert wire.listed(document, "schedules") is None

    def test_accounts_and_advertisers(self) -> None:
        assert wire.account({"accountId": "E", "accountName": None, "marketplaceId": "M"}) == Account(
            account_id="E", name="", marketplace_id="M"
        )
        assert wire.advertiser({"id": 5, "name": "A", "type": "SAS", "marketplaceId": None}) == Advertiser(
            advertiser_id="5", name="A", type="SAS", marketplace_id=None
        )

    @pytest.mark.parametrize(
        ("document", "found"),
        [
            ({}, None),
            ({"executions": None}, []),
            ({"executions": []}, []),
            ({"executions": [PENDING, None, "x"]}, [PENDING]),
            ({"executions": {"a": 1}}, None),
            ({"executions": "text"}, None),
        ],
    )
    def test_a_missing_list_is_not_an_empty_one(self, document: dict[str, Any], found: Any) -> None:
        assert wire.listed(document, "executions") == found

    @pytest.mark.parametrize(
        ("document", "token"),
        [({}, ""), ({"nextToken": None}, ""), ({"nextToken": ""}, ""), ({"nextToken": 7}, "7")],
    )
    def test_the_last_page_has_no_token(self, document: dict[str, Any], token: str) -> None:
        assert wire.next_token(document) == token

    def test_links(self) -> None:
        assert wire.downloads({"downloadUrls": ["a"], "metadataDownloadUrls": ["b"]}) == Downloads(
            ("a",), ("b",)
        )
        assert wire.downloads({"downloadUrls": None}) == Downloads(())
        assert wire.downloads({"metadataDownloadUrls": ["b"]}) is None


class TestErrors:
    @pytest.mark.parametrize(
        ("document", "text"),
        [
            ({"message": "m", "statusReason": "r", "details": "d", "messageSubject": "s"}, "m"),
            ({"message": "", "statusReason": "r", "details": "d"}, "r"),
            ({"details": "d", "messageSubject": "s"}, "d"),
            ({"messageSubject": "s"}, "s"),
            ({"details": {"field": "x"}}, "{'field': 'x'}"),
            ({}, ""),
            (None, ""),
            ("text", ""),
            ([1], ""),
        ],
    )
    def test_the_text_is_taken_in_amcs_order(self, document: Any, text: str) -> None:
        assert answers.error_text(document) == text

    def test_a_long_text_is_cut(self) -> None:
        assert len(answers.error_text({"details": "x" * 10_000})) == 2000

    @pytest.mark.parametrize(
        "secret",
        [
            "Atza|IwEBIplanted",
            "Atzr|planted",
            "Atzr%7Cplanted",
            "Bearer planted",
            "amzn1.oa2-cs.v1.planted",
            "https://b.s3.amazonaws.com/k?a=1&X-Amz-Signature=planted",
            "https://b.s3.amazonaws.com/planted?AWSAccessKeyId=1&Signature=planted",
            "client_secret=planted",
            "refresh_token: planted",
            '{"access_token": "planted"}',
            "planted@example.com",
            "AKIAPLANTEDPLANTED12",
        ],
    )
    def test_what_looks_like_a_secret_is_left_out(self, secret: str) -> None:
        found = answers.error_text({"details": f"refused {secret} here"})
        assert "planted" not in found.lower()
        assert re.fullmatch(r"refused .*<[a-z0-9-]+>.* here", found)
        reason = wire.execution(PENDING | {"statusReason": f"no {secret}"}).status_reason
        assert "planted" not in reason.lower()
        assert "planted" not in answers.request_id({"x-amz-rid": secret}, None).lower()

    def test_what_no_terminal_and_no_file_takes_is_replaced(self) -> None:
        body = rb'{"message": "a\ud800 \u001b[2J b"}'
        answer = answers.Answer.of(400, {"x-amz-rid": "\x1b[2Jr"}, body, datetime(2026, 11, 1, tzinfo=UTC))
        assert answers.error_text(answer.document) == "a? \ufffd[2J b"
        assert answer.request_id == "\ufffd[2Jr"

    @pytest.mark.parametrize(
        "field",
        [
            {"outputColumns": 5},
            {"outputColumns": {"a": 1}},
            {"outputColumns": [[1], None]},
            {"parameterValues": [1]},
            {"executionTime": 10**400},
            {"createTime": "0001-01-01T00:00:00+14:00"},
        ],
        ids=["a number", "an object", "lists", "a list", "a huge number", "before time"],
    )
    def test_a_field_of_another_shape_is_refused_in_words(self, field: dict[str, Any]) -> None:
        with pytest.raises(Refused, match="AMC answered with"):
            wire.execution(PENDING | field)

    @pytest.mark.parametrize("links", [5, "http://h/x", {"a": 1}, [None, 5]], ids=str)
    def test_links_of_another_shape_are_refused_in_words(self, links: object) -> None:
        with pytest.raises(Refused, match="downloadUrls that is no list"):
            wire.downloads({"downloadUrls": links})

    @pytest.mark.parametrize(
        ("headers", "document", "found"),
        [
            ({"x-amz-rid": "A", "x-amz-request-id": "B"}, {"requestId": "C"}, "A"),
            ({"x-amz-request-id": "B"}, {"requestId": "C"}, "B"),
            ({}, {"requestId": "C"}, "C"),
            ({}, ["C"], ""),
        ],
    )
    def test_the_request_id(self, headers: dict[str, str], document: Any, found: str) -> None:
        assert answers.request_id(headers, document) == found


class TestWriting:
    def test_only_what_is_set_is_sent(self) -> None:
        assert wire.execution_body(ExecutionRequest(workflow_id="reach")) == {
            "workflowId": "reach",
            "timeWindowType": "MOST_RECENT_DAY",
            "timeWindowTimeZone": "UTC",
        }

    def test_everything_that_can_be_set(self) -> None:
        request = ExecutionRequest(
            workflow_id="reach",
            window=EXPLICIT,
            parameter_values={"campaign": ["a", "b"]},
            dry_run=True,
            require_synthetic_data=True,
            disable_aggregation_controls=True,
            ignore_data_gaps=False,
            skip_publish=True,
            timeout_seconds=900,
            more={"advertisers": [{"id": "1", "type": "SAS"}]},
        )
        assert wire.execution_body(request) == {
            "workflowId": "reach",
            "timeWindowType": "EXPLICIT",
            "timeWindowStart": "2026-10-01T00:00:00",
            "timeWindowEnd": "2026-11-01T00:00:00",
            "timeWindowTimeZone": "Europe/Berlin",
            "parameterValues": {"campaign": ["a", "b"]},
            "dryRun": True,
            "requireSyntheticData": True,
            "disableAggregationControls": True,
            "ignoreDataGaps": False,
            "skipPublish": True,
            "workflowExecutionTimeoutSeconds": 900,
            "advertisers": [{"id": "1", "type": "SAS"}],
        }

    def test_sql_is_sent_along_instead_of_an_id(self) -> None:
        body = wire.execution_body(
            ExecutionRequest(workflow_id="amci-1", sql_query="SELECT 1", definition={"inputSchema": "s"})
        )
        assert body["workflow"] == {"workflowId": "amci-1", "sqlQuery": "SELECT 1", "inputSchema": "s"}
        assert "workflowId" not in body

    def test_sql_may_go_without_a_name(self) -> None:
        body = wire.execution_body(ExecutionRequest(workflow_id="", sql_query="SELECT 1"))
        assert body["workflow"] == {"sqlQuery": "SELECT 1"}

    @pytest.mark.parametrize("window_type", [t for t in WindowType if t is not WindowType.EXPLICIT])
    def test_a_relative_window_has_no_ends(self, window_type: WindowType) -> None:
        body = wire.execution_body(
            ExecutionRequest(workflow_id="w", window=TimeWindow(type=window_type, time_zone="Asia/Tokyo"))
        )
        assert body == {"workflowId": "w", "timeWindowType": window_type, "timeWindowTimeZone": "Asia/Tokyo"}

    @pytest.mark.parametrize("start", [None, "", "TODAY(-1)", "2026-02-30", "2026-10-01T00:00:00Z"])
    def test_a_date_that_is_not_resolved_is_not_sent(self, start: str | None) -> None:
        window = TimeWindow(type=WindowType.EXPLICIT, start=start, end="2026-11-01T00:00:00")
        with pytest.raises(UsageError, match="cannot be sent to AMC"):
            wire.execution_body(ExecutionRequest(workflow_id="reach", window=window))

    def test_a_day_is_its_beginning(self) -> None:
        window = TimeWindow(type=WindowType.EXPLICIT, start="2026-10-01", end="2026-10-02")
        body = wire.execution_body(ExecutionRequest(workflow_id="reach", window=window))
        assert (body["timeWindowStart"], body["timeWindowEnd"]) == (
            "2026-10-01T00:00:00",
            "2026-10-02T00:00:00",
        )

    def test_a_moment_in_a_query_is_utc_in_whole_seconds(self) -> None:
        at = datetime(2026, 11, 1, 1, 30, 15, 999999, tzinfo=timezone(timedelta(hours=2)))
        assert wire.utc_seconds(at) == "2026-10-31T23:30:15"
