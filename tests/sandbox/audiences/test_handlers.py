from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import duckdb
import pytest
from sqlglot import exp, parse_one

from amci.kernel.testing import FakeClock
from amci.sandbox.errors import QueryFailed
from amci.sandbox.faults import InjectedFault
from amci.sandbox.options import DEFAULT_INSTANCE, SandboxInstance
from amci.sandbox.times import Window

from ..calling import Calling

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
QUERY, LOOKALIKE = "/amc/audiences/query", "/amc/audiences/lookalike"
SEEN = "SELECT user_id FROM dsp_impressions_for_audiences"
ASKED = {
    "audienceName": "Seen in October",
    "advertiserId": "1234567890",
    "query": SEEN,
    "timeWindowStart": "2026-10-01T00:00:00Z",
    "timeWindowEnd": "2026-10-11T00:00:00Z",
}
V12 = "application/vnd.amcquerybasedaudience.v1.2+json"
IDS = {
    "amazon-marketing-cloud-audience-instanceid": DEFAULT_INSTANCE.instance_id,
    "amazon-advertising-api-entityid": DEFAULT_INSTANCE.entity_id,
}


class World:
    """A hundred people: person n saw an ad on each of the first n days of October, and has the segments below n / 10.

    It answers as the engine does, with DuckDB.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._db = duckdb.connect()
        self._db.execute(
            "CREATE TABLE dsp_impressions AS SELECT n::VARCHAR AS user_id, DATE '2026-10-01' + d::INT AS day"
            " FROM range(1, 101) a(n), range(100) b(d) WHERE d < n;"
            "CREATE TABLE segments AS SELECT n::VARCHAR AS user_id, s AS behavior_segment_id"
            " FROM range(1, 101) a(n), range(10) b(s) WHERE s < n / 10"
        )

    def audience(
        self, _instance_id: str, sql: str, _declared: list[Any], values: Mapping[str, Any], *more: Any
    ) -> tuple[str, str, Window]:
        window = more[0] if more else Window(start=datetime(2026, 1, 1), end=datetime(2026, 1, 2))  # noqa: DTZ001
        written = self._written(sql, values)
        try:
            self._run(f"EXPLAIN {written}", window)
        except duckdb.Error as error:
            raise QueryFailed(f"Object not found: {str(error).splitlines()[0]}") from error
        return sql, written, window

    def users(self, compiled: tuple[str, str, Window], _now: datetime) -> int:
        sql, written, window = compiled
        self.asked.append(sql)
        found: int = self._run(f"SELECT count(DISTINCT user_id) FROM ({written})", window)[0][0]
        return found

    def close(self) -> None:
        self._db.close()

    def _run(self, sql: str, window: Window) -> list[Any]:
        between = f"day >= '{window.start:%Y-%m-%d}' AND day < '{window.end:%Y-%m-%d}'"
        self._db.execute(
            f"CREATE OR REPLACE VIEW dsp_impressions_for_audiences AS FROM dsp_impressions WHERE {between};"
            "CREATE OR REPLACE VIEW dsp_impressions_by_user_segments_for_audiences AS FROM segments"
            f" WHERE user_id IN (SELECT user_id FROM dsp_impressions WHERE {between})"
        )
        return self._db.execute(sql).fetchall()

    def _written(self, sql: str, values: Mapping[str, Any]) -> str:
        def given(node: exp.Expr) -> exp.Expr:
            is_parameter = isinstance(node, exp.Anonymous) and node.name == "CUSTOM_PARAMETER"
            return exp.convert(values[node.expressions[0].name]) if is_parameter else node

        return parse_one(sql).transform(given).sql("duckdb")


class Audiences:
    """A client of the sandbox that asks for audiences."""

    def __init__(self, caller: Any) -> None:
        self.caller = caller
        self.world = World()
        caller.sandbox.backend.queries = self.world

    def ask(self, method: str, path: str = "", body: Any = None, **headers: str) -> Any:
        return self.caller.ask(method, f"{QUERY}{path}", body, **IDS | headers)

    def post(self, path: str = QUERY, **fields: Any) -> Any:
        body = {name: value for name, value in (ASKED | fields).items() if value is not None}
        return self.caller.ask("POST", path, body, **IDS)

    def make(self, path: str = QUERY, **fields: Any) -> str:
        answer = self.post(path, **fields)
        assert answer.status == 200, answer.content
        return str(answer.json["audienceExecutionId"])

    def get(self, audience_id: str, accept: str = V12) -> dict[str, Any]:
        answer = self.ask("GET", f"/{audience_id}", accept=accept)
        assert answer.status == 200, answer.content
        return dict(answer.json)

    def turn(self, by: timedelta) -> None:
        self.caller.clock.turn(by)
        self.caller.headers = {}  # its access token may have expired


@pytest.fixture
def opened(calling: Calling) -> Callable[..., Audiences]:
    return lambda **options: Audiences(calling(**{"audience_minimum": 20} | options))


@pytest.fixture
def amc(opened: Callable[..., Audiences]) -> Audiences:
    return opened()


class TestAsking:
    def test_an_audience_is_made_by_and_by(self, opened: Callable[..., Audiences]) -> None:
        amc = opened(pending=2 * MINUTE, running=3 * MINUTE)
        answer = amc.post()
        assert answer.headers["content-type"] == "application/octet-stream"
        audience_id = answer.json["audienceExecutionId"]
        assert answer.json == {
            "audienceExecutionId": audience_id,
            "audienceExecutionDescription": "Successfully started audience creation workflow.",
            "status": "PENDING",
        }
        seen = []
        for _ in range(6):
            seen.append(amc.get(audience_id)["status"])
            amc.turn(MINUTE)
        assert seen == ["PENDING"] * 2 + ["RUNNING"] * 3 + ["SUCCEEDED"]
        assert amc.get(audience_id)["audienceCount"] == 100

    def test_the_same_request_twice_makes_twins(self, amc: Audiences) -> None:
        first, second = amc.make(), amc.make()
        twins = [amc.get(first), amc.get(second)]
        for name in ("audienceExecutionId", "dspAudienceId", "dspCanonicalId"):
            assert twins[0].pop(name) != twins[1].pop(name)
        assert twins[0] == twins[1]

    def test_the_newest_version_shows_all_there_is(self, amc: Audiences) -> None:
        declared = [{"name": "least", "dataType": "STRING"}]
        query = f"{SEEN} WHERE day >= CUSTOM_PARAMETER('least')"
        values = {"least": "2026-10-05"}
        shown = amc.get(
            amc.make(query=query, inputParameters=declared, parameterValues=values, audienceDescription="x")
        )
        assert shown.pop("audienceExecutionId")
        assert len(shown.pop("dspAudienceId")) == 12
        assert len(shown.pop("dspCanonicalId")) == 18
        assert shown == {
            "advertiserId": "1234567890",
            "advertiserType": "DISPLAY",
            "audienceCount": 96,
            "audienceDescription": "x",
            "audienceName": "Seen in October",
            "audienceType": "RULE_BASED",
            "createTime": "2026-11-01T06:00:00.000Z",
            "deletable": False,
            "inputParameters": declared,
            "instanceId": "amcsandbox1",
            "lastRefreshedTime": "2026-11-01T06:00:00.000Z",
            "no3pTrackers": False,
            "parameterValues": values,
            "query": query,
            "refreshRateDays": 21,
            "status": "SUCCEEDED",
            "timeWindowEnd": "2026-10-11T00:00:00Z",
            "timeWindowRelative": False,
            "timeWindowStart": "2026-10-01T00:00:00Z",
        }

    @pytest.mark.parametrize(
        ("accept", "answered", "has"),
        [
            ("application/vnd.amcquerybasedaudience.v1+json", "1", set()),
            ("application/vnd.amcquerybasedaudience.v1.1+json", "1.1", {"audienceCount"}),
            (V12, "1.2", {"audienceCount", "audienceType"}),
            ("application/json", "1.1", {"audienceCount"}),
            (
                f"application/vnd.amcquerybasedaudience.v1+json, {V12};q=0.5",
                "1.2",
                {"audienceCount", "audienceType"},
            ),
        ],
    )
    def test_accept_chooses_the_version(
        self, amc: Audiences, accept: str, answered: str, has: set[str]
    ) -> None:
        audience_id = amc.make()
        for path, name in ((f"/{audience_id}", ""), ("", "executionMetadata")):
            answer = amc.ask("GET", path, accept=accept)
            assert answer.headers["content-type"] == f"application/vnd.amcquerybasedaudience.v{answered}+json"
            shown = answer.json[name][0] if name else answer.json
            assert shown.keys() & {"audienceCount", "audienceType"} == has
            assert shown["audienceExecutionId"] == audience_id

    def test_a_version_there_is_not_is_not_acceptable(self, amc: Audiences) -> None:
        answer = amc.ask("GET", accept="application/vnd.amcquerybasedaudience.v7+json")
        assert (answer.status, answer.json["code"]) == (406, "406")

    def test_lists_come_in_pages_newest_first(self, amc: Audiences) -> None:
        made = [amc.make() for _ in range(5)]
        first = amc.ask("GET", "?maxResults=3").json
        second = amc.ask("GET", f"?maxResults=3&nextToken={first['nextToken']}").json
        listed = [
            each["audienceExecutionId"] for page in (first, second) for each in page["executionMetadata"]
        ]
        assert listed == made[::-1]
        assert "nextToken" not in second
        for query in ("?maxResults=0", "?maxResults=101", "?nextToken=nonsense"):
            assert amc.ask("GET", query).status == 400

    def test_a_workflow_may_stand_for_the_query(self, amc: Audiences) -> None:
        amc.caller.sandbox.backend.store.do(
            "new_workflow",
            instance_id="amcsandbox1",
            workflow_id="seen",
            definition=f'{{"workflowId": "seen", "sqlQuery": "{SEEN}"}}',
            now=0,
        )
        shown = amc.get(amc.make(query=None, workflowId="seen"))
        assert (shown["query"], shown["workflowId"], shown["audienceCount"]) == (SEEN, "seen", 100)
        assert amc.post(query=None, workflowId="nowhere").status == 404

    @pytest.mark.parametrize(
        ("fields", "says"),
        [
            ({"audienceName": None}, "audienceName is required"),
            ({"audienceName": "  "}, "audienceName is required"),
            ({"advertiserId": None}, "advertiserId is required"),
            ({"advertiserId": "7"}, "Advertiser 7 is not an advertiser of instance amcsandbox1"),
            ({"advertiserType": "SPONSORED_ADS"}, "Advertiser 1234567890 is not of type SPONSORED_ADS"),
            ({"advertiserType": "SAS"}, "advertiserType must be one of DISPLAY, SPONSORED_ADS"),
            ({"query": None}, "Exactly one of query and workflowId is required"),
            ({"workflowId": "w"}, "Exactly one of query and workflowId is required"),
            ({"timeWindowStart": None}, "timeWindowStart is required"),
            ({"timeWindowEnd": "yesterday"}, "'yesterday' is not yyyy-MM-ddTHH:mm:ss"),
            ({"timeWindowEnd": "2026-10-01T00:00:00Z"}, "timeWindowStart must be before timeWindowEnd"),
            ({"refreshRateDays": 22}, "refreshRateDays must be between 0 and 21"),
            ({"refreshRateDays": -1}, "refreshRateDays must be between 0 and 21"),
            ({"timeWindowRelative": "maybe"}, "timeWindowRelative must be true or false"),
            ({"countryCode": "XX"}, "countryCode must be one of AE"),
            ({"inputParameters": [{"name": "x"}]}, "each parameter needs a name and a dataType"),
            ({"inputParameters": [{"name": "x", "dataType": "STRING"}] * 2}, "a name stands twice"),
            ({"inputParameters": [{"name": "x", "dataType": "STRING"}] * 101}, "at most 100 parameters"),
            ({"parameterValues": ["x"]}, "parameterValues must be a map"),
            ({"parameterValues": {"x": 1}}, "a value for x, which is not among the inputParameters"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, amc: Audiences, fields: dict[str, Any], says: str) -> None:
        answer = amc.post(**fields)
        assert answer.status == 400
        assert says in answer.details
        assert answer.json.keys() == {"code", "details", "requestId"}
        assert amc.ask("GET").json["executionMetadata"] == []

    @pytest.mark.parametrize(
        ("headers", "status", "says"),
        [
            (
                {"amazon-marketing-cloud-audience-instanceid": ""},
                400,
                "Amazon-Marketing-Cloud-Audience-InstanceId",
            ),
            ({"amazon-advertising-api-entityid": ""}, 400, "Amazon-Advertising-API-EntityId is required"),
            ({"amazon-advertising-api-entityid": "ENTITYOTHER"}, 403, "Unauthorized request"),
            ({"amazon-marketing-cloud-audience-instanceid": "amcother"}, 403, "Unauthorized request"),
            ({"amazon-marketing-cloud-audience-instanceid": "amcnew"}, 400, "is not ready"),
            (
                {"amazon-marketing-cloud-audience-instanceid": "amcterms"},
                401,
                "Terms and conditions must be accepted",
            ),
        ],
    )
    def test_headers_say_whose_audiences(
        self, opened: Callable[..., Audiences], headers: dict[str, str], status: int, says: str
    ) -> None:
        account = {"entity_id": DEFAULT_INSTANCE.entity_id, "marketplace_id": "M", "name": "n"}
        more = (
            SandboxInstance(instance_id="amcnew", creation_status="IN_PROGRESS", **account),
            SandboxInstance(instance_id="amcterms", has_accepted_terms=False, **account),
        )
        answer = opened(instances=(DEFAULT_INSTANCE, *more)).ask("GET", **headers)
        assert answer.status == status
        assert says in answer.details

    def test_instances_know_their_own_audiences_only(self, opened: Callable[..., Audiences]) -> None:
        other = SandboxInstance(
            instance_id="amcother1", entity_id=DEFAULT_INSTANCE.entity_id, marketplace_id="M", name="other"
        )
        amc = opened(instances=(DEFAULT_INSTANCE, other))
        audience_id = amc.make()
        elsewhere = {"amazon-marketing-cloud-audience-instanceid": "amcother1"}
        assert amc.ask("GET", **elsewhere).json["executionMetadata"] == []
        assert amc.ask("GET", f"/{audience_id}", **elsewhere).status == 404


class TestMending:
    BAD = "SELECT user_id FROM dsp_impressions"

    def test_what_failed_is_made_anew(self, amc: Audiences) -> None:
        audience_id = amc.make(query=self.BAD, refreshRateDays=3)
        amc.turn(DAY)
        failed = amc.get(audience_id)
        assert (failed["status"], failed["deletable"]) == ("FAILED", True)
        assert (
            failed["statusReason"]
            == "Invalid tables in the SQL query: Use audience-specific tables in the query."
        )
        assert "dspAudienceId" not in failed
        body = ASKED | {"audienceType": "RULE_BASED", "timeWindowRelative": True}
        assert amc.ask("PUT", f"/{audience_id}", body).json["status"] == "PENDING"
        mended = amc.get(audience_id)
        assert (mended["status"], mended["audienceCount"], mended["refreshRateDays"]) == ("SUCCEEDED", 100, 3)
        assert (mended["createTime"], mended["lastRefreshedTime"]) == (
            "2026-11-01T06:00:00.000Z",
            "2026-11-02T06:00:00.000Z",
        )
        assert "statusReason" not in mended

    @pytest.mark.parametrize(
        ("fields", "says"),
        [
            ({"audienceType": None}, "audienceType is required and must be RULE_BASED"),
            ({"audienceType": "LOOKALIKE"}, "audienceType is required and must be RULE_BASED"),
            ({"audienceName": "Other"}, "audienceName must be the same as before"),
            ({"audienceDescription": "Other"}, "audienceDescription must be the same as before"),
            ({"timeWindowEnd": None}, "timeWindowEnd is required"),
        ],
    )
    def test_a_change_names_all_and_changes_the_query_only(
        self, amc: Audiences, fields: dict[str, Any], says: str
    ) -> None:
        audience_id = amc.make(query=self.BAD)
        answer = amc.ask("PUT", f"/{audience_id}", ASKED | {"audienceType": "RULE_BASED"} | fields)
        assert answer.status == 400
        assert says in answer.details
        assert amc.get(audience_id)["status"] == "FAILED"

    def test_only_what_failed_is_changed_or_deleted(self, amc: Audiences) -> None:
        good, bad = amc.make(), amc.make(query=self.BAD)
        body = ASKED | {"audienceType": "RULE_BASED"}
        for method in ("PUT", "DELETE"):
            answer = amc.ask(method, f"/{good}", body)
            assert answer.status == 400
            assert f"{good} is SUCCEEDED: only failed audiences can be" in answer.details
        answer = amc.ask("DELETE", f"/{bad}")
        assert (answer.status, answer.content) == (204, b"")
        for method in ("GET", "PUT", "DELETE"):
            answer = amc.ask(method, f"/{bad}", body)
            assert (answer.status, answer.json["code"]) == (404, "404")


class TestLife:
    def test_too_few_people_make_no_audience(self, opened: Callable[..., Audiences]) -> None:
        amc = opened(audience_minimum=200)
        failed = amc.get(amc.make())
        assert failed["status"] == "FAILED"
        assert failed["statusReason"] == (
            "The audience has 100 user_ids, and at least 200 are needed."
            " Widen the query or the time window, and aim for 250 or more."
        )

    def test_both_ends_of_a_moving_window_move_with_each_refresh(
        self, amc: Audiences, clock: FakeClock
    ) -> None:
        """The example of Amazon's guide, day for day."""
        clock.turn(datetime.fromisoformat("2027-01-10T00:00:00Z") - clock.now())
        window = {"timeWindowStart": "2026-10-01T00:00:00Z", "timeWindowEnd": "2026-10-09T00:00:00Z"}
        audience_id = amc.make(refreshRateDays=7, timeWindowRelative="TRUE", **window)
        seen = []
        for _ in range(3):
            shown = amc.get(audience_id)
            names = ("lastRefreshedTime", "timeWindowStart", "timeWindowEnd")
            seen.append((*(shown[name][5:10] for name in names), shown["audienceCount"]))
            amc.turn(7 * DAY)
        assert seen == [
            ("01-10", "10-01", "10-09", 100),
            ("01-17", "10-08", "10-16", 93),
            ("01-24", "10-15", "10-23", 86),
        ]

    def test_a_refresh_that_fails_leaves_the_audience_as_it_was(
        self, opened: Callable[..., Audiences]
    ) -> None:
        amc = opened(audience_minimum=95)
        audience_id = amc.make(refreshRateDays=7, timeWindowRelative=True)
        amc.turn(7 * DAY)
        shown = amc.get(audience_id)
        assert (shown["status"], shown["audienceCount"]) == ("SUCCEEDED", 100)
        assert "The latest refresh failed: The audience has 93 user_ids" in shown["statusReason"]
        assert shown["lastRefreshedTime"] == shown["createTime"]
        assert shown["timeWindowStart"] == "2026-10-08T00:00:00Z"

    def test_without_refreshes_it_lives_thirty_days(self, amc: Audiences) -> None:
        audience_id = amc.make(refreshRateDays=0)
        amc.turn(30 * DAY - MINUTE)
        assert amc.get(audience_id)["status"] == "SUCCEEDED"
        amc.turn(MINUTE)
        ended = amc.get(audience_id)
        assert (ended["status"], ended["audienceCount"]) == ("DEACTIVATED", 0)
        assert len(amc.world.asked) == 1

    def test_what_nobody_uses_slows_down_and_ends(self, amc: Audiences) -> None:
        audience_id = amc.make(
            refreshRateDays=1, timeWindowRelative=True, timeWindowEnd="2027-06-01T00:00:00Z"
        )
        counts = []
        for _ in range(14):
            amc.turn(10 * DAY)
            amc.get(audience_id)
            counts.append(len(amc.world.asked))
        # each day for a fortnight, every other day to the thirtieth, then once a week until the hundredth
        assert counts == [11, 18, 23, 24, 25, 27, 28, 30, 31, 33, 33, 33, 33, 33]
        assert amc.get(audience_id)["status"] == "DEACTIVATED"

    def test_nothing_is_lost_when_the_sandbox_is_opened_again(self, opened: Callable[..., Audiences]) -> None:
        amc = opened(pending=MINUTE)
        audience_id = amc.make()
        amc.caller.close()
        again = opened(pending=MINUTE)
        again.turn(MINUTE)
        assert again.get(audience_id)["status"] == "SUCCEEDED"

    def test_a_lost_answer_leaves_an_audience(self, amc: Audiences) -> None:
        amc.caller.sandbox.faults.add(InjectedFault("no_answer_after", "POST", QUERY))
        assert amc.post().status == 0
        assert len(amc.ask("GET").json["executionMetadata"]) == 1


class TestLookalikes:
    #: Persons 81 to 100: nine or ten segments each.
    SEED = f"{SEEN} WHERE CAST(user_id AS INTEGER) > 80 -- the keenest"

    def test_it_is_made_of_those_who_share_most_segments_with_the_seed(self, amc: Audiences) -> None:
        asked = {"query": self.SEED, "lookalikeAudienceExpectedReach": "BALANCED"}
        shown = amc.get(amc.make(LOOKALIKE, **asked))
        assert (shown["status"], shown["audienceType"]) == ("SUCCEEDED", "LOOKALIKE")
        assert shown["lookalikeAudienceExpectedReach"] == "BALANCED"
        # of eighty others 8 to 22: ten of them share seven segments, and nobody eight
        assert shown["audienceCount"] == 10

    def test_the_further_it_reaches_the_larger_it_is(self, amc: Audiences) -> None:
        reaches = ("MOST_SIMILAR", "SIMILAR", "BALANCED", "BROAD", "MOST_BROAD")
        asked = [{"query": self.SEED, "lookalikeAudienceExpectedReach": reach} for reach in reaches]
        counts = [amc.get(amc.make(LOOKALIKE, **each))["audienceCount"] for each in asked]
        assert counts == sorted(counts)
        assert counts[0] < counts[-1] <= 40

    @pytest.mark.parametrize(
        ("fields", "says"),
        [
            ({}, "lookalikeAudienceExpectedReach is required"),
            ({"lookalikeAudienceExpectedReach": "HUGE"}, "must be one of MOST_SIMILAR"),
            ({"lookalikeAudienceExpectedReach": "BROAD", "refreshRateDays": 6}, "must be between 7 and 21"),
        ],
    )
    def test_a_request_says_how_far_it_reaches(
        self, amc: Audiences, fields: dict[str, Any], says: str
    ) -> None:
        answer = amc.post(LOOKALIKE, **fields)
        assert answer.status == 400
        assert says in answer.details

    @pytest.mark.parametrize(
        ("query", "minimum", "says"),
        [
            (SEED, 100, "The seed audience has 20 user_ids, and at least 25 are needed"),
            (SEEN, 20, "Nobody in the time window shares a segment that is typical of the seed audience."),
        ],
    )
    def test_a_seed_that_is_like_nobody_or_too_few_is_refused(
        self, opened: Callable[..., Audiences], query: str, minimum: int, says: str
    ) -> None:
        amc = opened(audience_minimum=minimum)
        shown = amc.get(amc.make(LOOKALIKE, query=query, lookalikeAudienceExpectedReach="BROAD"))
        assert shown["status"] == "FAILED"
        assert says in shown["statusReason"]
