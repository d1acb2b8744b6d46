"""What a notice says of a run, in the words of the AWS solution's mails where it has some (aws-solution 2.1, 2.3)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from amci.kernel.notify.notice import LONGEST_SUBJECT, NOTIFY, Notice
from amci.kernel.run import Run, RunStatus

#: Of a run's reason where AMC said no; see `errors.ExecutionFailed`.
_AMC_SAYS = re.compile(r"AMC says ([A-Z]+)(?:: (.*))?", re.DOTALL)
_WORKFLOW_REQUESTS = {"create": "createWorkflow", "update": "updateWorkflow", "delete": "deleteWorkflow"}
_LONGEST_NAME, _LONGEST_TAIL = 65, 10


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeText:
    """A request to AMC and how it ended."""

    request_type: str
    name: str  #: of the workflow or of its execution
    name_is: str = "Workflow Id"
    status: str
    message: str
    more: Mapping[str, Any]


def subject(tenant: str, request_type: str, name: str, status: str) -> str:
    """The subject of a mail, at most 100 characters."""
    return f"{tenant} {request_type} for {name} {status}"[:LONGEST_SUBJECT]


def body(tenant: str, said: NoticeText, document: Mapping[str, Any]) -> str:
    """The text of a mail: the subject, what matters line by line, and all of it as JSON."""
    lines = [
        subject(tenant, said.request_type, said.name, said.status),
        f"Customer Id: {tenant}",
        f"Request Type: {said.request_type}",
        f"{said.name_is}: {said.name}",
        f"Response Status: {said.status}",
        f"Response Message: {said.message}",
        "--",
        json.dumps(document, indent=2, ensure_ascii=False, default=str),
    ]
    return "\n".join(lines)


def execution_name(tenant: str, workflow_id: str, tail: str) -> str:
    """The name of an execution, at most 76 characters: tenant, workflow, and ten characters of an id."""
    head = f"{tenant}-{workflow_id}" if workflow_id else tenant
    return f"{head[:_LONGEST_NAME]}-{tail.replace('-', '')[:_LONGEST_TAIL]}"


def notices_of(
    run: Run, workspace_name: str, at: datetime, is_heard: Callable[[str], bool] = lambda _: True
) -> tuple[Notice, ...]:
    """What there is to tell of a run that has ended; nothing of one that only tells somebody.

    `is_heard` says of which events somebody may want a notice: most runs have none, and making one takes time.
    """
    if run.kind == NOTIFY or not run.status.is_final:
        return ()
    special = [event for event, says in _SPECIAL.items() if says(run)] if run.result else []
    events = filter(is_heard, [run.status.lower(), *special])
    return tuple(notice_of(run, event, workspace_name, at) for event in events)


def notice_of(run: Run, outcome_event: str, workspace_name: str, at: datetime) -> Notice:
    """The notice of one event of a run."""
    tenant = run.tenant_id or ""
    special = _SPECIAL.get(outcome_event)
    said = None if special else _said(run)
    fields: dict[str, Any] = {"kind": run.kind}
    if said is None:
        title = f"{workspace_name}: run {run.run_id} ({run.kind}) {outcome_event}"
        text = special(run) if special else run.reason or ""
    else:
        title = subject(tenant, said.request_type, said.name, said.status)
        fields |= {"customerId": tenant, "requestType": said.request_type, "responseStatus": said.status}
        document = {**fields, "responseMessage": said.message, **said.more}
        text = body(tenant, said, {name: value for name, value in document.items() if value is not None})
    return Notice(
        event=outcome_event,
        subject=title,
        body=text,
        run_id=run.run_id,
        tenant_id=run.tenant_id,
        at=at,
        fields=fields,
        occasion=str(run.claims),
    )


def _said(run: Run) -> NoticeText | None:
    """What AMC was asked and answered; None if the run asked it nothing."""
    result = run.result or {}
    more = {"runId": run.run_id, "correlationId": run.correlation_id, "result": run.result}
    match run.kind:
        case "execute" | "cancel":
            return _execution(run, result, more)
        case "workflow":
            action, name = str(run.payload.get("action", "")), str(run.payload.get("workflow", ""))
            return NoticeText(
                request_type=_WORKFLOW_REQUESTS.get(action, f"{action}Workflow"),
                name=name,
                status=str(result.get("responseStatus") or _status(run)),
                message=_message(run),
                more={**more, "workflowId": name},
            )
        case "provision":
            return NoticeText(
                request_type="provisionTenant",
                name=run.tenant_id or "",
                name_is="Tenant",
                status=_status(run),
                message=_message(run),
                more=more,
            )
    return None


def _execution(run: Run, result: Mapping[str, Any], more: Mapping[str, Any]) -> NoticeText:
    request = run.payload.get("request") or {}
    workflow_id = str(request.get("workflow_id", ""))
    execution_id = result.get("workflow_execution_id")
    name = execution_name(run.tenant_id or "", workflow_id, str(execution_id or f"{run.run_id:010d}"))
    return NoticeText(
        request_type="createExecution" if run.kind == "execute" else "cancelExecution",
        name=name,
        name_is="Workflow Execution Name",
        status=str(result.get("execution_status") or _status(run)),
        message=_message(run),
        more={
            **more,
            "workflowId": workflow_id or None,
            "workflowExecutionId": execution_id,
            "workflowExecutionName": name,
            "executionRequest": request or None,
        },
    )


def _status(run: Run) -> str:
    """AMC's status where the reason names it, else what became of the run."""
    if found := _AMC_SAYS.match(run.reason or ""):
        return found[1]
    is_cancelled = run.status is RunStatus.SKIPPED and run.reason == "cancelled in AMC"
    return str(RunStatus.CANCELLED if is_cancelled else run.status)


def _message(run: Run) -> str:
    found = _AMC_SAYS.match(run.reason or "")
    return (found[2] if found else run.reason) or str(run.status)


def _quality(run: Run) -> str:
    notes = (run.result or {}).get("quality") or ()
    broken = ", ".join(f"{note['rule']} ({note['rows']} rows)" for note in notes)
    return f"quality rules that did not hold: {broken}" if broken else ""


def _doubt(run: Run) -> str:
    return "; ".join((run.result or {}).get("doubts") or ())


def _twice(run: Run) -> str:
    names = ", ".join((run.result or {}).get("second") or ())
    return f"AMC carried out a request of amci's a second time, late: {names}" if names else ""


#: What runs of any kind may have to tell beside how they ended.
_SPECIAL = {"quality": _quality, "doubt": _doubt, "twice": _twice}
