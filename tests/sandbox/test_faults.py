"""What goes wrong on purpose, set in Python, over HTTP, or as text."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from amci.kernel.errors import UsageError
from amci.sandbox.faults import Faults, InjectedFault, fault_from

from .calling import Caller

EXECUTIONS = "*/workflowExecutions"
QUERY = "/workflowExecutions?workflowId=reach"


def test_throttling_says_when_to_come_again(amc: Caller) -> None:
    amc.sandbox.faults.add(InjectedFault("throttle", retry_after=7))
    answer = amc.ask("GET", "/workflows")
    assert (answer.status, answer.headers["retry-after"]) == (429, "7")
    assert answer.json["code"] == "429"
    assert amc.ask("GET", "/workflows").status == 200


def test_an_error_has_the_status_it_is_given(amc: Caller) -> None:
    amc.sandbox.faults.add(InjectedFault("error", status=503))
    answer = amc.ask("GET", "/workflows")
    assert (answer.status, answer.json["code"]) == (503, "503")


def test_a_request_without_an_answer_is_carried_out(amc: Caller) -> None:
    amc.sandbox.faults.add(InjectedFault("no_answer_after", "POST", EXECUTIONS))
    assert amc.ask("POST", "/workflowExecutions", {"workflowId": "reach"}).status == 0
    assert len(amc.ask("GET", QUERY).json["executions"]) == 1


@pytest.mark.parametrize(("kind", "status"), [("no_connection", -1), ("error", 500), ("throttle", 429)])
def test_a_request_that_does_not_arrive_is_not_carried_out(amc: Caller, kind: str, status: int) -> None:
    amc.sandbox.faults.add(InjectedFault(kind, "POST", EXECUTIONS))
    assert amc.ask("POST", "/workflowExecutions", {"workflowId": "reach"}).status == status
    assert amc.ask("GET", QUERY).json["executions"] == []


def test_an_empty_body_hides_what_was_done(amc: Caller) -> None:
    amc.sandbox.faults.add(InjectedFault("empty_body", "POST", EXECUTIONS))
    answer = amc.ask("POST", "/workflowExecutions", {"workflowId": "reach"})
    assert (answer.status, answer.content) == (200, b"")
    assert len(amc.ask("GET", QUERY).json["executions"]) == 1


def test_an_expired_token_is_good_again_after_logging_in(amc: Caller) -> None:
    amc.log_in()
    amc.sandbox.faults.add(InjectedFault("expired_token"))
    assert amc.ask("GET", "/workflows").status == 401
    assert amc.log_in().status == 200
    assert amc.ask("GET", "/workflows").status == 200


def test_an_execution_can_be_stuck(amc: Caller) -> None:
    amc.sandbox.faults.add(InjectedFault("stuck_pending"))
    stuck, other = amc.execute(), amc.execute()
    amc.clock.turn(timedelta(minutes=50))
    assert (amc.status(stuck), amc.status(other)) == ("PENDING", "SUCCEEDED")
    assert amc.ask("PUT", f"/workflowExecutions/{stuck}", {"status": "CANCELLED"}).status == 200


def test_links_can_have_expired_before_they_are_used(amc: Caller) -> None:
    execution = amc.execute()
    path = f"/workflowExecutions/{execution}/downloadUrls"
    amc.sandbox.faults.add(InjectedFault("slow_links"))
    assert amc.send("GET", amc.ask("GET", path).json["downloadUrls"][0]).status == 403
    assert amc.send("GET", amc.ask("GET", path).json["downloadUrls"][0]).status == 200


def test_a_page_can_repeat_an_item_and_its_token(amc: Caller) -> None:
    for _ in range(4):
        amc.execute()
    first = amc.ask("GET", f"{QUERY}&limit=2").json
    token = first["nextToken"]
    amc.sandbox.faults.add(InjectedFault("changed_page"))
    changed = amc.ask("GET", f"{QUERY}&limit=2&nextToken={token}").json
    ids = [e["workflowExecutionId"] for e in changed["executions"]]
    assert (len(ids), len(set(ids)), changed["nextToken"]) == (3, 2, token)


def test_the_last_page_can_say_null(amc: Caller) -> None:
    amc.execute()
    amc.sandbox.faults.add(InjectedFault("changed_page"))
    changed = amc.ask("GET", QUERY).json
    assert len(changed["executions"]) == 2
    assert changed["nextToken"] is None


@pytest.mark.parametrize(
    ("fault", "met"),
    [
        (InjectedFault("error"), [True, False, False, False]),
        (InjectedFault("error", times=2), [True, True, False, False]),
        (InjectedFault("error", times=0), [True, True, True, True]),
        (InjectedFault("error", after=2), [False, False, True, False]),
        (InjectedFault("error", method="post"), [False, False, False, False]),
        (InjectedFault("error", path="*/other"), [False, False, False, False]),
    ],
)
def test_a_fault_meets_the_requests_it_is_for(fault: InjectedFault, met: list[bool]) -> None:
    faults = Faults()
    faults.add(fault)
    assert [faults.take("GET", "/amc/accounts") is not None for _ in range(4)] == met


def test_a_fault_can_be_set_and_taken_back_over_http(amc: Caller) -> None:
    assert amc.send("POST", "/sandbox/faults", {"kind": "error", "status": 502, "times": 0}).json == {}
    assert amc.ask("GET", "/workflows").status == 502
    assert amc.send("GET", "/sandbox/faults").json["faults"][0]["status"] == 502
    amc.send("DELETE", "/sandbox/faults")
    assert amc.ask("GET", "/workflows").status == 200


@pytest.mark.parametrize(
    "document",
    [{}, {"kind": "earthquake"}, {"kind": "error", "times": "3"}, {"kind": "error", "color": "red"}],
)
def test_a_fault_that_is_none_is_refused(amc: Caller, document: Any) -> None:
    answer = amc.send("POST", "/sandbox/faults", document)
    assert (answer.status, answer.json["code"]) == (400, "400")
    assert amc.send("GET", "/sandbox/faults").json["faults"] == []


def test_requests_are_counted_by_route(amc: Caller) -> None:
    before = amc.send("GET", "/sandbox/requests").json["requests"]
    execution = amc.execute()
    amc.status(execution)
    after = amc.send("GET", "/sandbox/requests").json["requests"]
    route = "/amc/reporting/{instanceId}/workflowExecutions"
    assert {name: n - before.get(name, 0) for name, n in after.items() if n != before.get(name, 0)} == {
        f"POST {route}": 1,
        f"GET {route}/{{workflowExecutionId}}": 1,
    }


def test_the_sandbox_has_no_other_routes_of_its_own(amc: Caller) -> None:
    assert amc.send("GET", "/sandbox/nothing").status == 404


def test_a_fault_can_be_written_as_text() -> None:
    assert fault_from("throttle,path=*/workflows,times=3") == InjectedFault(
        "throttle", path="*/workflows", times=3
    )


@pytest.mark.parametrize("text", ["", "earthquake", "error,times=often", "error,color=red"])
def test_text_that_is_no_fault_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        fault_from(text)
