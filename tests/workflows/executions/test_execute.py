from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest

from amci.kernel.errors import NoAccess
from amci.kernel.files import on_fault_point
from amci.kernel.run import RunStatus
from amci.workflows.amc.model import ExecutionStatus, TimeWindow, WindowType
from amci.workflows.definitions.definition import InputParameter, Workflow

from ..conftest import Desk

HOUR = timedelta(hours=1)


class Killed(BaseException):
    """The process is gone."""


def crashed(desk: Desk, *, at: int) -> bool:
    """Work until the fault point of this number, and die there; False where there are fewer."""
    left = at

    def die(_: str) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise Killed

    on_fault_point(die)
    try:
        desk.finish()
    except Killed:
        return True
    finally:
        on_fault_point(None)
    return False


def refusing(path: str, status: int = 404, times: int = 1) -> Callable[[str, str], Any]:
    """An overlay that answers the first requests to this path itself."""
    left = times

    def answer(_: str, url: str) -> Any:
        nonlocal left
        if path in url and left:
            left -= 1
            return status, {}, json.dumps({"code": str(status), "details": "not now"}).encode()
        return None

    return answer


def test_an_execution_goes_from_the_request_to_the_file(desk: Desk) -> None:
    run_id = desk.ask()
    desk.work()
    assert desk.run(run_id).status is RunStatus.PENDING
    assert desk.run(run_id).reason in ("AMC: PENDING", "AMC: RUNNING")
    desk.finish()
    run, [key] = desk.run(run_id), desk.files()
    assert run.status is RunStatus.SUCCEEDED
    assert run.result["key"] == key
    assert run.result["execution_status"] == "SUCCEEDED"
    execution = run.result["workflow_execution_id"]
    assert key == f"acme/workflow=reach/schedule=adhoc/2026-11-01T06:00:00.000Z-reach-{execution[:8]}.csv"
    assert (desk.raw / key).stat().st_size == run.result["bytes"]
    assert desk.posts() == 1


def test_the_note_beside_a_result_says_what_it_is(desk: Desk) -> None:
    run_id = desk.ask()
    desk.finish()
    note = desk.note(desk.run(run_id).result["key"])
    assert note["workflow_execution_id"] == desk.run(run_id).result["workflow_execution_id"]
    assert (note["workflow_id"], note["tenant"], note["schedule"]) == ("reach", "acme", "adhoc")
    assert note["time_window_start"] == "2026-10-20T00:00:00.000000Z"
    assert (note["time_window_end_local"], note["time_zone"]) == ("2026-10-21T00:00:00", "UTC")
    assert note["rows"] == desk.run(run_id).result["rows"]
    assert len(note["sql_hash"]) == 64
    assert "dsp_impressions" in note["metadata"][0]


def test_dates_and_parameters_are_resolved_for_the_moment_of_the_fire(desk: Desk) -> None:
    desk.workflows["reach"] = Workflow(
        workflow_id="reach",
        sql="SELECT campaign, SUM(impressions) AS n FROM dsp_impressions"
        " WHERE impressions > CUSTOM_PARAMETER('least') AND impression_date >= CUSTOM_PARAMETER('day') GROUP BY 1",
        input_parameters=(
            InputParameter(name="least", data_type="LONG", default_value=0),  # type: ignore[arg-type]
            InputParameter(name="day", data_type="DATE"),  # type: ignore[arg-type]
        ),
    )
    window = TimeWindow(
        type=WindowType.EXPLICIT, start="TODAY(-8)", end="TODAY(-1)", time_zone="America/Los_Angeles"
    )
    run_id = desk.ask(
        at=desk.clock.now() - timedelta(days=3),
        window=window,
        parameter_values={"least": "3", "day": "FIRSTDAYOFOFFSETMONTH(0)"},
    )
    desk.work()
    [execution] = desk.in_amc()
    # 06:00 UTC on the 29th is still the evening of the 28th there.
    assert execution.window_start_local == "2026-10-20T00:00:00"
    assert execution.window_end_local == "2026-10-27T00:00:00"
    assert execution.parameter_values == {"least": 3, "day": "2026-10-01"}
    assert desk.row(run_id).request.parameter_values == {"least": 3, "day": "2026-10-01"}


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        ({"window": TimeWindow(type=WindowType.EXPLICIT, start="TODAY()", end="TODAY(-1)")}, "ends at"),
        ({"window": TimeWindow(time_zone="Mars/Olympus")}, "no time zone"),
        ({"parameter_values": {"least": 1}}, "no parameter 'least'"),
        ({"workflow_id": "../../etc"}, "cannot be the id"),
        ({"workflow_id": "x", "sql_query": "SELECT 1; SELECT 2"}, "2 statements"),
    ],
)
def test_what_makes_no_sense_is_refused_before_amc_is_asked(desk: Desk, request_: Any, says: str) -> None:
    run_id = desk.ask(**request_)
    desk.work()
    assert desk.run(run_id).status is RunStatus.FAILED
    assert says in desk.run(run_id).reason
    assert desk.posts() == 0


def test_a_tenant_without_an_instance_says_what_is_missing(desk: Desk) -> None:
    desk.tenants["acme"] = desk.tenants["acme"].model_copy(update={"instance_id": ""})
    run_id = desk.ask()
    desk.work()
    assert "has no AMC instance" in desk.run(run_id).reason


def test_ad_hoc_sql_gets_an_id_of_its_own_and_keeps_its_name_as_folder(desk: Desk) -> None:
    sql = "SELECT advertiser, SUM(impressions) AS n FROM dsp_impressions GROUP BY 1 -- all\n;"
    first, second = (desk.ask(workflow_id="look", sql_query=sql) for _ in range(2))
    desk.finish()
    ids = {execution.workflow_id for execution in desk.in_amc()}
    assert len(ids) == 2
    assert all(i.startswith("amci-") and len(i) == 21 for i in ids)
    assert {desk.run(r).status for r in (first, second)} == {RunStatus.SUCCEEDED}
    assert all(key.startswith("acme/workflow=look/schedule=adhoc/") for key in desk.files())
    assert len(desk.files()) == 2


@pytest.mark.parametrize("option", ["dry_run", "skip_publish"])
def test_where_there_will_be_no_result_nothing_is_fetched(desk: Desk, option: str) -> None:
    run_id = desk.ask(**{option: True})
    desk.finish()
    assert desk.run(run_id).status is RunStatus.SUCCEEDED
    assert desk.run(run_id).result["key"] is None
    assert not any("downloadUrls" in asked for asked in desk.asked)


# ---- exactly one execution, whatever happens


def points_of(desk: Desk) -> list[str]:
    """The fault points of one run from its request to its file."""
    names: list[str] = []
    desk.ask()
    on_fault_point(names.append)
    try:
        desk.finish()
    finally:
        on_fault_point(None)
    return names


def test_a_run_makes_one_execution_wherever_it_is_killed(
    desk_of: Callable[..., Desk], request: pytest.FixtureRequest
) -> None:
    # The first one also makes the sandbox's events.
    names = [points_of(desk_of(options={"running": timedelta(minutes=2)})) for _ in range(2)][1]
    assert {"before_post", "after_post", "recorded", "before_download", "downloaded", "delivered"} == {
        name.removeprefix("execute.") for name in names if name.startswith("execute.")
    }
    is_all = request.config.getoption("--crash-all", default=False)
    for at, name in enumerate(names, start=1):
        # Around each step of ours, and now and then between.
        if is_all or name.startswith("execute.") or at % 9 == 0:
            assert _killed(desk_of(options={"running": timedelta(minutes=2)}), at), f"{at}: {name}"


def _killed(desk: Desk, at: int) -> bool:
    """Kill a run at its fault point of this number; whether another process brings it to its only end."""
    run_id = desk.ask()
    if not crashed(desk, at=at):
        return False
    desk.runs.recover(all_workers=True)
    desk.finish()
    return (
        desk.run(run_id).status is RunStatus.SUCCEEDED
        and desk.row(run_id).attempt == 1
        and len(desk.in_amc()) == 1
        and len(desk.files()) == 1
    )


def test_an_execution_whose_creation_got_no_answer_is_found(desk: Desk) -> None:
    desk.fault("no_answer_after", "POST")
    run_id = desk.ask()
    desk.work()
    assert "looking whether it has the execution" in desk.run(run_id).reason
    desk.finish()
    assert desk.run(run_id).status is RunStatus.SUCCEEDED
    assert desk.posts() == 1
    assert len(desk.in_amc()) == 1


def test_an_execution_that_was_never_created_is_asked_for_again_after_a_while(desk: Desk) -> None:
    desk.fault("error", "POST", status=504)
    run_id, began = desk.ask(), desk.clock.now()
    desk.finish()
    [execution] = desk.in_amc()
    assert execution.created_at >= began + desk.settings.adopt_within
    assert desk.run(run_id).status is RunStatus.SUCCEEDED
    assert desk.posts() == 2


@pytest.mark.parametrize("window", [None, TimeWindow()], ids=["explicit", "relative"])
def test_two_equal_requests_never_share_an_execution(desk: Desk, window: TimeWindow | None) -> None:
    desk.fault("no_answer_after", "POST", times=2)
    asked = {"window": window} if window else {}
    ids = [desk.ask(**asked) for _ in range(3)]
    desk.finish()
    assert {desk.run(run_id).status for run_id in ids} == {RunStatus.SUCCEEDED}
    assert len({desk.row(run_id).workflow_execution_id for run_id in ids}) == 3
    assert len(desk.in_amc()) == 3


def test_somebody_elses_equal_execution_stays_theirs_where_ours_is_known(desk: Desk) -> None:
    theirs = desk.client().create_execution(_as_sent(desk))
    run_id = desk.ask()
    desk.finish()
    assert desk.row(run_id).workflow_execution_id != theirs.workflow_execution_id


def _as_sent(desk: Desk) -> Any:

    run_id = desk.ask("bolt")
    desk.work()
    return desk.row(run_id).request


def test_a_throttled_request_waits_as_long_as_amazon_asked(desk: Desk) -> None:
    desk.fault("throttle", "POST", retry_after=90)
    run_id, began = desk.ask(), desk.clock.now()
    desk.work()
    run = desk.run(run_id)
    assert run.status is RunStatus.PENDING
    assert run.run_after >= began + timedelta(seconds=90)
    assert desk.row(run_id).submitting_at is None
    desk.finish()
    assert desk.run(run_id).status is RunStatus.SUCCEEDED
    assert desk.run(run_id).attempts == 0


def test_amc_out_of_reach_is_waited_for(desk: Desk) -> None:
    run_id = desk.ask()
    desk.work()
    desk.fault("no_connection", times=40)
    desk.finish()
    assert desk.run(run_id).status is RunStatus.SUCCEEDED
    assert desk.run(run_id).attempts == 0
    assert len(desk.in_amc()) == 1


def test_amc_out_of_reach_for_ever_is_given_up_and_can_be_taken_up_again(desk: Desk) -> None:
    run_id = desk.ask()
    desk.work()
    desk.fault("no_connection", times=0)
    desk.finish()
    assert desk.run(run_id).status is RunStatus.FAILED
    assert "could not be asked in time" in desk.run(run_id).reason
    desk.sandbox.faults.clear()
    desk.turn(minutes=5)
    desk.runs.redrive([run_id])
    desk.finish()
    assert desk.run(run_id).status is RunStatus.SUCCEEDED
    assert desk.posts() == 1


# ---- looking


def test_the_pauses_between_two_looks_grow_up_to_the_longest(desk_of: Callable[..., Desk]) -> None:
    desk = desk_of(options={"running": timedelta(hours=3)})
    run_id = desk.ask()
    moments = []
    for _ in range(14):
        desk.work()
        moments.append(desk.run(run_id).run_after)
        desk.clock.turn(moments[-1] - desk.clock.now())
    pauses = [(b - a).total_seconds() for a, b in itertools.pairwise(moments)]
    assert pauses[0] <= 30
    assert pauses[-1] == 300
    assert all(a <= b + 15 for a, b in itertools.pairwise(pauses))


def test_one_list_answers_for_all_executions_in_flight(desk: Desk) -> None:
    ids = [desk.ask(window=_day(n)) for n in range(1, 9)]
    desk.work()
    desk.asked.clear()
    desk.turn(minutes=1)
    desk.work()
    assert desk.asked == ["GET /amc/reporting/amcacme/workflowExecutions"]
    assert all(desk.row(run_id).looks == 1 for run_id in ids)


def _day(n: int) -> TimeWindow:
    return TimeWindow(
        type=WindowType.EXPLICIT, start=f"2026-10-{n:02}T00:00:00", end=f"2026-10-{n + 1:02}T00:00:00"
    )


def test_an_execution_that_lasts_too_long_is_cancelled_in_amc(desk_of: Callable[..., Desk]) -> None:
    desk = desk_of(options={"running": timedelta(hours=30)}, deadline="2h")
    run_id, began = desk.ask(), desk.clock.now()
    desk.finish()
    run = desk.run(run_id)
    assert run.status is RunStatus.FAILED
    assert "AMC did not end it within 2 h, and was cancelled" in run.reason
    assert desk.in_amc()[0].status is ExecutionStatus.CANCELLED
    assert run.changed_at - began < 3 * HOUR


def test_a_request_that_allows_itself_more_time_gets_it(desk_of: Callable[..., Desk]) -> None:
    desk = desk_of(options={"running": timedelta(hours=3)}, deadline="2h")
    run_id = desk.ask(timeout_seconds=4 * 3600)
    desk.finish()
    assert desk.run(run_id).status is RunStatus.SUCCEEDED


def test_what_ended_by_itself_just_before_the_deadline_is_fetched(desk_of: Callable[..., Desk]) -> None:
    desk = desk_of(options={"running": timedelta(hours=1)}, deadline="2h")
    run_id = desk.ask()
    desk.work()
    desk.turn(hours=5)
    desk.work()
    assert desk.run(run_id).status is RunStatus.SUCCEEDED


def test_what_somebody_cancelled_in_amc_is_skipped(desk: Desk) -> None:
    run_id = desk.ask()
    desk.work()
    desk.client().cancel_execution(desk.row(run_id).workflow_execution_id)
    desk.finish()
    assert desk.run(run_id).status is RunStatus.SKIPPED
    assert desk.run(run_id).reason == "cancelled in AMC"


def test_an_execution_amc_forgot_makes_its_run_fail(desk: Desk) -> None:
    run_id = desk.ask()
    desk.work()
    execution = desk.row(run_id).workflow_execution_id
    desk.overlay = refusing(f"/workflowExecutions/{execution}", times=99)
    desk.finish()
    assert desk.run(run_id).status is RunStatus.FAILED
    assert desk.run(run_id).reason.startswith("it is gone: AMC does not know the execution any more")
    assert desk.row(run_id).status is ExecutionStatus.DELETED


def test_a_refused_request_says_why_in_amcs_words(desk: Desk) -> None:
    run_id = desk.ask(workflow_id="nowhere")
    desk.work()
    run = desk.run(run_id)
    assert run.status is RunStatus.FAILED
    assert run.attempts == 1
    assert "nowhere" in run.reason
    assert desk.row(run_id).status is ExecutionStatus.REJECTED


@pytest.mark.parametrize("status", ["FAILED", "REJECTED"])
def test_an_execution_that_fails_says_why_and_is_not_tried_again_by_itself(desk: Desk, status: str) -> None:
    run_id = _failing(desk, status)
    run = desk.run(run_id)
    assert run.status is RunStatus.FAILED
    assert f"AMC says {status}: too few users" in run.reason
    assert desk.row(run_id).status is ExecutionStatus(status)
    assert desk.posts() == 1


def test_a_status_amci_does_not_know_is_a_failure(desk: Desk) -> None:
    desk.words = {
        b'"status":"RUNNING"': b'"status":"DREAMING"',
        b'"status":"SUCCEEDED"': b'"status":"DREAMING"',
    }
    run_id = desk.ask()
    desk.finish()
    assert desk.run(run_id).status is RunStatus.FAILED
    assert "unknown status" in desk.run(run_id).reason


def _failing(desk: Desk, status: str = "FAILED") -> int:
    """A run whose execution did not succeed; the next one will."""
    said = f'"status":"{status}","statusReason":"too few users"'
    desk.words = {b'"status":"SUCCEEDED"': said.encode()}
    run_id: int = desk.ask()
    desk.finish()
    desk.words = {}
    return run_id


# ---- redriving


def test_redriving_a_failed_execution_makes_a_new_one(desk: Desk) -> None:
    run_id = _failing(desk)
    desk.runs.redrive([run_id])
    desk.finish()
    assert desk.run(run_id).status is RunStatus.SUCCEEDED
    assert [row.attempt for row in desk.executions.of_run(run_id)] == [2, 1]
    assert desk.posts() == 2


def test_redriving_a_refused_request_asks_again(desk: Desk) -> None:
    run_id = desk.ask(workflow_id="later")
    desk.work()
    desk.client().put_workflow({"workflowId": "later", "sqlQuery": desk.workflows["reach"].sql})
    desk.runs.redrive([run_id])
    desk.finish()
    assert desk.run(run_id).status is RunStatus.SUCCEEDED
    assert desk.row(run_id).attempt == 2


def test_a_login_that_was_refused_leaves_the_execution_to_be_taken_up_again(desk: Desk) -> None:
    run_id = desk.ask()
    desk.work()
    desk.turn(hours=2)  # the access token has expired by then
    desk.overlay = refusing("/auth/o2/token", 400, times=99)
    desk.work()
    assert desk.run(run_id).status is RunStatus.FAILED
    desk.overlay = lambda _method, _url: None
    desk.runs.redrive([run_id])
    desk.finish()
    assert desk.run(run_id).status is RunStatus.SUCCEEDED
    assert len(desk.in_amc()) == 1


def test_redriving_goes_on_with_an_execution_that_is_still_alive(desk_of: Callable[..., Desk]) -> None:
    desk = desk_of(options={"running": timedelta(hours=12)}, deadline="2h")
    run_id = desk.ask()
    desk.work()
    desk.fault("error", "PUT", times=0)
    desk.finish()
    assert desk.run(run_id).status is RunStatus.FAILED
    desk.sandbox.faults.clear()
    desk.turn(hours=10)
    desk.runs.redrive([run_id])
    desk.finish()
    assert desk.run(run_id).status is RunStatus.SUCCEEDED
    assert desk.row(run_id).attempt == 1
    assert desk.posts() == 1


# ---- the result


def test_expired_links_are_renewed(desk: Desk) -> None:
    desk.fault("slow_links", "GET", "*/downloadUrls")
    run_id = desk.ask()
    desk.finish()
    assert desk.run(run_id).status is RunStatus.SUCCEEDED
    assert sum("downloadUrls" in asked for asked in desk.asked) == 2


def test_links_that_never_work_are_no_fault_of_the_workflow_and_a_redrive_fetches_the_result(
    desk: Desk,
) -> None:
    desk.fault("slow_links", "GET", "*/downloadUrls", times=0)
    run_id = desk.ask()
    desk.finish()
    run = desk.run(run_id)
    assert run.status is RunStatus.FAILED
    assert re.match(
        r"the download links had expired \d+ times \(nothing is wrong with the workflow; ", run.reason
    )
    assert f"`amci exec download {run_id}`" in run.reason
    assert run.result["execution_status"] == "SUCCEEDED"
    desk.sandbox.faults.clear()
    desk.runs.redrive([run_id])
    desk.finish()
    assert desk.run(run_id).status is RunStatus.SUCCEEDED
    assert desk.row(run_id).attempt == 1


def test_a_result_that_is_not_there_yet_is_waited_for(desk: Desk) -> None:
    desk.overlay = refusing("/downloadUrls", times=3)
    run_id = desk.ask()
    desk.finish()
    assert desk.run(run_id).status is RunStatus.SUCCEEDED
    assert desk.run(run_id).attempts == 0


def test_a_result_that_never_comes_makes_the_run_fail_and_a_redrive_ask_anew(desk: Desk) -> None:
    desk.overlay = refusing("/downloadUrls", times=10_000)
    run_id = desk.ask()
    desk.finish()
    assert desk.run(run_id).status is RunStatus.FAILED
    assert "does not hand out its result" in desk.run(run_id).reason
    desk.overlay = lambda _method, _url: None
    desk.runs.redrive([run_id])
    desk.finish()
    assert desk.run(run_id).status is RunStatus.SUCCEEDED
    assert desk.row(run_id).attempt == 2


def test_a_result_is_announced_with_its_key_when_it_is_in_raw(desk: Desk) -> None:
    announced: list[tuple[str, list[str]]] = []
    desk.on_delivered = lambda tenant, keys: announced.append((tenant.tenant, list(keys)))
    run_id = desk.ask()
    desk.finish()
    assert announced == [("acme", [desk.row(run_id).key])]
    assert desk.files() == [desk.row(run_id).key]


def test_the_state_is_written_twice_for_each_request_and_else_for_each_batch(
    desk_of: Callable[..., Desk],
) -> None:
    told: list[Sequence[str]] = []

    def transactions(executions: int) -> int:
        desk = desk_of(options={"running": timedelta(0), "pending": timedelta(0)})
        desk.on_delivered = lambda _tenant, keys: told.append(keys)
        for day in range(executions):
            window = TimeWindow(
                type=WindowType.EXPLICIT, start=f"2026-10-{day + 1:02}T00:00:00", end="2026-10-21T00:00:00"
            )
            desk.ask(window=window)
        began: list[str] = []
        desk.state._db.set_trace_callback(lambda sql: began.append(sql) if sql.startswith("BEGIN") else None)
        desk.finish()
        assert len(desk.files()) == executions
        return len(began)

    # About to be sent, and taken by AMC. All else is written for a batch: begun, as it stands in AMC, in raw/.
    assert transactions(7) - transactions(2) == 5 * 2
    assert list(map(len, told)) == [7, 2]


def test_nothing_is_asked_for_a_tenant_without_access(desk: Desk) -> None:
    asked = desk.ask()
    desk.finish()
    before = list(desk.asked)
    desk.refusals = {"acme": NoAccess("its check failed", hint="check it")}
    fire, by_hand = desk.ask(key="fire:daily/acme@2026-11-02T06:00:00Z"), desk.ask()
    desk.finish()
    assert desk.asked == before
    assert (desk.run(fire).status, desk.run(fire).reason) == (RunStatus.SKIPPED, "its check failed; check it")
    assert desk.run(by_hand).status is RunStatus.FAILED
    desk.refusals = {}
    desk.runs.redrive([fire, by_hand])
    desk.finish()
    assert {desk.run(number).status for number in (asked, fire, by_hand)} == {RunStatus.SUCCEEDED}


def test_how_amc_answered_is_kept_without_what_is_secret(desk: Desk) -> None:
    run_id = desk.ask()
    desk.finish()
    row = desk.row(run_id)
    assert row.submitted is not None
    assert row.answered is not None
    assert (row.submitted["method"], row.submitted["status"]) == ("POST", 200)
    assert row.submitted["url"].endswith("/amc/reporting/amcacme/workflowExecutions")
    assert (row.answered["method"], row.answered["status"]) == ("GET", 200)
    assert row.answered["seconds"] >= 0
    assert row.answered["sent_at"] > row.submitted["sent_at"]
    assert "token" not in json.dumps([row.submitted, row.answered]).lower()


@pytest.mark.parametrize(("status", "kept"), [(400, 400), (503, 503), (429, 429)])
def test_refusals_and_faults_are_kept_with_the_execution(desk: Desk, status: int, kept: int) -> None:
    desk.overlay = refusing("/workflowExecutions", status)
    run_id = desk.ask()
    desk.work()
    row = desk.row(run_id)
    assert row.submitted is not None
    assert (row.submitted["method"], row.submitted["status"]) == ("POST", kept)
