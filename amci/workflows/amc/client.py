"""AMC for one tenant: what can be asked of it, as calls that take and give values (amc-api 2.1, 2.2)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, BinaryIO, Literal

from amci.kernel import log
from amci.kernel.errors import Refused, Unavailable
from amci.tenants.model import Tenant
from amci.workflows.amazon.answers import Answer
from amci.workflows.amazon.downloader import Downloader
from amci.workflows.amazon.sender import RequestSender
from amci.workflows.amc import wire
from amci.workflows.amc.client_administration import Administration
from amci.workflows.amc.client_audiences import Audiences
from amci.workflows.amc.client_base import PAGE, items, made, segment
from amci.workflows.amc.model import Downloads, Execution, ExecutionRequest, ExecutionStatus

_BAD_REQUEST = 400

_log = log.get("amc")


class AmcClient(Administration, Audiences):
    """One tenant's view of AMC; threads may share it. For what its calls raise see `AmcClientBase`."""

    def __init__(self, tenant: Tenant, caller: RequestSender, fetcher: Downloader) -> None:
        super().__init__(tenant, caller)
        self._fetcher = fetcher

    def workflows(self) -> list[dict[str, Any]]:
        """All workflows, as AMC spells them."""
        return self._reported("workflows", "workflowId")

    def workflow(self, workflow_id: str) -> dict[str, Any] | None:
        """One workflow, as AMC spells it; None if there is none."""
        return self._one(self._workflow(workflow_id), "workflow")

    def put_workflow(self, definition: Mapping[str, Any]) -> Literal["CREATED", "UPDATED"]:
        """Create the workflow, or replace the one that is there. Safe to repeat."""
        try:
            # A repeated creation is harmless here: the second one finds the first.
            self._call("POST", self._reporting("/workflows"), body=definition)
        except Refused as error:
            if error.details != f"Workflow with ID {definition['workflowId']} already exists.":
                raise
            self.update_workflow(definition)
            return "UPDATED"
        return "CREATED"

    def create_workflow(self, definition: Mapping[str, Any]) -> None:
        """Create a workflow; Refused if there is one. Sent once."""
        self._call("POST", self._reporting("/workflows"), body=definition, is_repeatable=False)

    def update_workflow(self, definition: Mapping[str, Any]) -> None:
        """Replace the definition of a workflow; Refused(404) if there is none."""
        self._call("PUT", self._workflow(definition["workflowId"]), body=definition)

    def delete_workflow(self, workflow_id: str) -> bool:
        """Delete a workflow; False if there was none."""
        return self._found("DELETE", self._workflow(workflow_id)) is not None

    def create_execution(self, request: ExecutionRequest) -> Execution:
        """Start an execution of a resolved request; sent once.

        OutcomeUnknown if AMC may have started it: look for it before asking again.
        """
        body = wire.execution_body(request)
        path = self._reporting("/workflowExecutions")
        answer = self._call("POST", path, body=body, is_repeatable=False)
        return replace(made(answer, wire.execution), exchange=answer.exchange)

    def execution(self, workflow_execution_id: str) -> Execution | None:
        """An execution as it stands; None if AMC does not know it (any more)."""
        found = self._found("GET", self._execution(workflow_execution_id))
        return replace(wire.execution(found.document), exchange=found.exchange) if found else None

    def executions(self, since: datetime, workflow_id: str | None = None) -> Iterator[Execution]:
        """Executions created since, newest first, cancelled ones included.

        One that amci cannot read is passed over and noted in the log, so that it does not hide all others:
        that an execution is not in this list does not prove that AMC does not know it.
        """
        params = {**PAGE, "minCreationTime": wire.utc_seconds(since), "includeCancelled": "true"}
        if workflow_id:
            params["workflowId"] = workflow_id
        path = self._reporting("/workflowExecutions")
        account, answers = self._account(), deque[Answer](maxlen=1)

        def page(asked: Mapping[str, str]) -> Answer:
            answers.append(self._caller.call("GET", path, account, params=asked))
            return answers[0]

        for item in items(page, "executions", ("workflowExecutionId",), params):
            try:
                yield replace(wire.execution(item), exchange=answers[0].exchange)
            except Refused as error:
                _log.warning("execution passed over", tenant=self._tenant.tenant, says=str(error))

    def cancel_execution(self, workflow_execution_id: str) -> Execution:
        """Cancel an execution, and see how it stands then; Refused(400) if it had ended already."""
        path = self._execution(workflow_execution_id)
        refused = None
        try:
            self._call("PUT", path, body={"status": ExecutionStatus.CANCELLED.value})
        except Refused as error:
            if error.status != _BAD_REQUEST:
                raise
            refused = error
        answer = self._call("GET", path)
        found = replace(wire.execution(answer.document), exchange=answer.exchange)
        # A repeated request is refused if the first one, which got no answer, was carried out.
        if refused and found.status is not ExecutionStatus.CANCELLED:
            raise refused
        return found

    def delete_execution(self, workflow_execution_id: str) -> bool:
        """Have AMC forget an execution; False if it did not know it."""
        return self._found("DELETE", self._execution(workflow_execution_id)) is not None

    def downloads(self, workflow_execution_id: str) -> Downloads:
        """Fresh links to the files of a result; Refused(404) while there are none."""
        answer = self._call("GET", f"{self._execution(workflow_execution_id)}/downloadUrls")
        found = wire.downloads(answer.document)
        if found is None:
            raise Unavailable("AMC's answer has no download links", request_id=answer.request_id)
        return found

    def fetch(self, url: str, out: BinaryIO) -> int:
        """Write what a link leads to into `out`, unpacked; returns its bytes.

        LinkExpired if the link has expired. After any other error `out` may hold a part of it.
        """
        return self._fetcher.fetch(url, out)

    def schedules(self) -> list[dict[str, Any]]:
        """AMC's own schedules, as AMC spells them."""
        return self._reported("schedules", "scheduleId")

    def schedule(self, schedule_id: str) -> dict[str, Any] | None:
        """One schedule, as AMC spells it; None if there is none."""
        return self._one(self._schedule(schedule_id), "schedule")

    def create_schedule(self, definition: Mapping[str, Any]) -> None:
        """Create a schedule; Refused if there is one. Sent once."""
        self._call("POST", self._reporting("/schedules"), body=definition, is_repeatable=False)

    def update_schedule(self, definition: Mapping[str, Any]) -> None:
        """Change a schedule; Refused(404) if there is none."""
        self._call("PUT", self._schedule(definition["scheduleId"]), body=definition)

    def delete_schedule(self, schedule_id: str) -> bool:
        """Delete a schedule; False if there was none."""
        return self._found("DELETE", self._schedule(schedule_id)) is not None

    def data_sources(self) -> list[dict[str, Any]]:
        """The tables one can ask, with their columns, as AMC spells them."""
        return self._reported("dataSources", "dataSourceId")

    def data_source(self, data_source_id: str) -> dict[str, Any] | None:
        """One table with its columns, as AMC spells it; None if there is none."""
        return self._one(self._reporting(f"/dataSources/{segment(data_source_id)}"), "dataSource")

    def _workflow(self, workflow_id: str) -> str:
        return self._reporting(f"/workflows/{segment(workflow_id)}")

    def _execution(self, workflow_execution_id: str) -> str:
        return self._reporting(f"/workflowExecutions/{segment(workflow_execution_id)}")

    def _schedule(self, schedule_id: str) -> str:
        return self._reporting(f"/schedules/{segment(schedule_id)}")
