from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from amci.app.notice_text import NoticeText, body, execution_name, notice_of, notices_of, subject
from amci.kernel.errors import DataError, ExecutionFailed
from amci.kernel.run import Run, RunStatus, reason_for

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
EXECUTION = "1a2b3c4d-5e6f-7081-92a3-b4c5d6e7f809"


def run(kind: str, status: str, **values: Any) -> Run:
    plain: dict[str, Any] = dict.fromkeys(Run.__slots__)
    plain |= {"run_id": 17, "tenant_id": "acme", "payload": {}, "claims": 2, "correlation_id": "fire:x@y"}
    return Run(**(plain | {"kind": kind, "status": RunStatus(status)} | values))


ASKED = {"request": {"workflow_id": "reach", "window": {"type": "EXPLICIT"}}}
GOT = {"workflow_execution_id": EXECUTION, "execution_status": "SUCCEEDED", "rows": 5}


def test_a_subject_is_cut_at_a_hundred_characters() -> None:
    assert (
        subject("acme", "createExecution", "acme-reach-1", "FAILED")
        == "acme createExecution for acme-reach-1 FAILED"
    )
    assert len(subject("acme", "createWorkflow", "w" * 200, "CREATED")) == 100


def test_a_body_has_a_line_for_each_thing_that_matters_and_then_all_of_it() -> None:
    said = NoticeText(request_type="createWorkflow", name="reach", status="CREATED", message="fine", more={})
    assert body("acme", said, {"a": 1}) == (
        "acme createWorkflow for reach CREATED\nCustomer Id: acme\nRequest Type: createWorkflow\n"
        'Workflow Id: reach\nResponse Status: CREATED\nResponse Message: fine\n--\n{\n  "a": 1\n}'
    )


@pytest.mark.parametrize(
    ("workflow", "tail", "name"),
    [
        ("reach", EXECUTION, "acme-reach-1a2b3c4d5e"),
        ("reach", "0000000017", "acme-reach-0000000017"),
        ("", EXECUTION, "acme-1a2b3c4d5e"),
        ("w" * 100, EXECUTION, "acme-" + "w" * 60 + "-1a2b3c4d5e"),
    ],
)
def test_an_execution_has_a_name_of_at_most_76_characters(workflow: str, tail: str, name: str) -> None:
    assert execution_name("acme", workflow, tail) == name
    assert len(name) <= 76


@pytest.mark.parametrize(
    ("of", "said", "status"),
    [
        (
            run("execute", "SUCCEEDED", payload=ASKED, result=GOT),
            "acme createExecution for acme-reach-1a2b3c4d5e",
            "SUCCEEDED",
        ),
        (
            run(
                "execute",
                "FAILED",
                payload=ASKED,
                reason=reason_for(ExecutionFailed("REJECTED", "no such table")),
            ),
            "acme createExecution for acme-reach-0000000017",
            "REJECTED",
        ),
        (
            run("execute", "FAILED", payload=ASKED, reason=reason_for(DataError("odd"))),
            "acme createExecution for acme-reach-0000000017",
            "FAILED",
        ),
        (
            run("execute", "SKIPPED", payload=ASKED, reason="cancelled in AMC"),
            "acme createExecution for acme-reach-0000000017",
            "CANCELLED",
        ),
        (
            run("execute", "CANCELLED", payload=ASKED),
            "acme createExecution for acme-reach-0000000017",
            "CANCELLED",
        ),
        (
            run(
                "cancel",
                "SUCCEEDED",
                result={"execution_status": "CANCELLED", "workflow_execution_id": EXECUTION},
            ),
            "acme cancelExecution for acme-1a2b3c4d5e",
            "CANCELLED",
        ),
        (run("cancel", "FAILED", reason="no"), "acme cancelExecution for acme-0000000017", "FAILED"),
        *(
            (
                run(
                    "workflow",
                    "SUCCEEDED",
                    payload={"action": a, "workflow": "reach"},
                    result={"responseStatus": s},
                ),
                f"acme {a}Workflow for reach",
                s,
            )
            for a, s in (
                ("create", "CREATED"),
                ("create", "UPDATED"),
                ("update", "UPDATED"),
                ("delete", "DELETED"),
            )
        ),
        (
            run("workflow", "FAILED", payload={"action": "create", "workflow": "r"}),
            "acme createWorkflow for r",
            "FAILED",
        ),
        (run("provision", "SUCCEEDED", result={"steps": []}), "acme provisionTenant for acme", "SUCCEEDED"),
    ],
)
def test_what_asked_amc_something_is_told_in_the_words_of_the_aws_solution(
    of: Run, said: str, status: str
) -> None:
    (notice,) = notices_of(of, "insights", AT)
    assert notice.subject == f"{said} {status}"
    assert notice.event == of.status.lower()
    _, request_type, *_ = said.split()
    assert notice.fields == {
        "kind": of.kind,
        "customerId": "acme",
        "requestType": request_type,
        "responseStatus": status,
    }
    lines, _, document = notice.body.partition("\n--\n")
    assert lines.splitlines()[:3] == [notice.subject, "Customer Id: acme", f"Request Type: {request_type}"]
    assert f"Response Status: {status}" in lines
    assert json.loads(document)["responseStatus"] == status
    assert (notice.run_id, notice.tenant_id, notice.at, notice.occasion) == (17, "acme", AT, "2")


def test_a_refusal_is_told_in_amcs_own_words() -> None:
    error = ExecutionFailed("FAILED", "Object 'foo' not found", hint="mend the SQL")
    notice = notice_of(run("execute", "FAILED", payload=ASKED, reason=reason_for(error)), "failed", "x", AT)
    assert "\nResponse Message: Object 'foo' not found (mend the SQL)\n" in notice.body
    assert json.loads(notice.body.partition("\n--\n")[2])["executionRequest"] == ASKED["request"]


def test_every_other_run_is_told_by_its_number() -> None:
    (notice,) = notices_of(run("heavy", "FAILED", reason="line 3: broken"), "insights", AT)
    assert (notice.subject, notice.body) == ("insights: run 17 (heavy) failed", "line 3: broken")
    assert notice.fields == {"kind": "heavy"}


def test_quality_rules_that_did_not_hold_are_told_beside_the_end() -> None:
    notes = [{"rule": "not_null_a", "rows": 3}, {"rule": "unique_b", "rows": 1}]
    end, quality = notices_of(run("heavy", "SUCCEEDED", result={"quality": notes}), "insights", AT)
    assert (end.event, quality.event) == ("succeeded", "quality")
    assert quality.subject == "insights: run 17 (heavy) quality"
    assert quality.body == "quality rules that did not hold: not_null_a (3 rows), unique_b (1 rows)"


@pytest.mark.parametrize("kind", ["notify", "execute", "heavy"])
def test_nothing_is_told_of_what_goes_on_or_of_telling(kind: str) -> None:
    assert notices_of(run(kind, "PENDING"), "x", AT) == notices_of(run(kind, "RUNNING"), "x", AT) == ()
    failed = notices_of(replace(run(kind, "FAILED"), reason="x"), "x", AT)
    assert len(failed) == (0 if kind == "notify" else 1)
