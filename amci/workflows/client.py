"""AMC for one tenant: what can be asked of it, as calls that take and give values (amc-api 2.1, 2.2)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, BinaryIO, Literal
from urllib.parse import quote

from amci import log
from amci.errors import ConfigError, OutcomeUnknown, Problem, Refused, Unavailable, UsageError
from amci.tenants.model import Tenant
from amci.workflows import wire
from amci.workflows.answers import Answer
from amci.workflows.client_caller import Caller
from amci.workflows.client_fetcher import Fetcher
from amci.workflows.model import (
    Account,
    Advertiser,
    Downloads,
    Execution,
    ExecutionRequest,
    ExecutionStatus,
    Instance,
)
from amci.workflows.paging import items
from amci.workflows.wire import Document

_NOT_FOUND = 404
_BAD_REQUEST = 400
_PAGE = {"limit": "100"}

_log = log.get("amc")


class AmcClient:
    """One tenant's view of AMC; threads may share it.

    Every call raises AuthError, Refused, Throttled or Unavailable where AMC does, and ConfigError where the
    tenant lacks an id the call needs.
    """

    def __init__(self, tenant: Tenant, caller: Caller, fetcher: Fetcher) -> None:
        self._tenant = tenant
        self._caller = caller
        self._fetcher = fetcher

    def accounts(self) -> list[Account]:
        """The AMC accounts this login may see."""
        return [
            wire.account(item)
            for item in self._all("/amc/accounts", {}, "amcAccounts", "accountId", "marketplaceId")
        ]

    def instances(self) -> list[Instance]:
        """The instances of the tenant's AMC account."""
        found = self._all("/amc/instances", self._account(), "instances", "instanceId", params=_PAGE)
        return [wire.instance(item) for item in found]

    def instance(self, instance_id: str) -> Instance:
        """One instance; Refused(404) where there is none."""
        path = f"/amc/instances/{_segment(instance_id)}"
        return wire.instance(self._caller.call("GET", path, self._account()).document)

    def advertisers(self) -> list[Advertiser]:
        """The advertisers whose events are in the tenant's instance."""
        path = f"/amc/instances/{self._instance_id()}/advertisers"
        # One advertiser may be there once for each type.
        found = self._all(path, self._account(), "advertisers", "id", "type", "marketplaceId", params=_PAGE)
        return [wire.advertiser(item) for item in found]

    def workflows(self) -> list[dict[str, Any]]:
        """All workflows, as AMC spells them."""
        return self._reported("workflows", "workflowId")

    def workflow(self, workflow_id: str) -> dict[str, Any] | None:
        """One workflow, as AMC spells it; None where there is none."""
        found = self._found("GET", f"/workflows/{_segment(workflow_id)}")
        return dict(wire.unwrapped(found.document, "workflow")) if found else None

    def put_workflow(self, definition: Mapping[str, Any]) -> Literal["CREATED", "UPDATED"]:
        """Create the workflow, or replace the one that is there. Safe to repeat."""
        try:
            # A repeated creation is harmless here: the second one finds the first.
            self._ask("POST", "/workflows", body=definition)
        except Refused as error:
            if error.details != f"Workflow with ID {definition['workflowId']} already exists.":
                raise
            self.update_workflow(definition)
            return "UPDATED"
        return "CREATED"

    def create_workflow(self, definition: Mapping[str, Any]) -> None:
        """Create a workflow; Refused where there is one, OutcomeUnknown where no answer came."""
        self._ask("POST", "/workflows", body=definition, is_repeatable=False)

    def update_workflow(self, definition: Mapping[str, Any]) -> None:
        """Replace the definition of a workflow; Refused(404) where there is none."""
        self._ask("PUT", f"/workflows/{_segment(definition['workflowId'])}", body=definition)

    def delete_workflow(self, workflow_id: str) -> bool:
        """Delete a workflow; False where there was none."""
        return self._found("DELETE", f"/workflows/{_segment(workflow_id)}") is not None

    def schedules(self) -> list[dict[str, Any]]:
        """AMC's own schedules, as AMC spells them."""
        return self._reported("schedules", "scheduleId")

    def data_sources(self) -> list[dict[str, Any]]:
        """The tables one can ask, with their columns, as AMC spells them."""
        return self._reported("dataSources", "dataSourceId")

    def create_execution(self, request: ExecutionRequest) -> Execution:
        """Start an execution of a resolved request; sent once.

        OutcomeUnknown where AMC may have started it: look for it before asking again.
        """
        body = wire.execution_body(request)
        answer = self._ask("POST", "/workflowExecutions", body=body, is_repeatable=False)
        try:
            return wire.execution(answer.document if isinstance(answer.document, Mapping) else {})
        except Refused as error:
            raise OutcomeUnknown(
                f"AMC took the request; {error}",
                request_id=answer.request_id,
                hint="amci looks for the execution before it asks again",
            ) from error

    def execution(self, workflow_execution_id: str) -> Execution | None:
        """An execution as it stands; None where AMC does not know it (any more)."""
        found = self._found("GET", f"/workflowExecutions/{_segment(workflow_execution_id)}")
        return wire.execution(found.document) if found else None

    def executions(self, since: datetime, workflow_id: str | None = None) -> Iterator[Execution]:
        """Executions created since, newest first, cancelled ones included.

        One that amci cannot read is passed over and noted in the log, so that it does not hide all others:
        that an execution is not in this list is no proof that AMC does not know it.
        """
        params = _PAGE | {"minCreationTime": wire.utc_seconds(since), "includeCancelled": "true"}
        if workflow_id:
            params["workflowId"] = workflow_id
        path = self._path("/workflowExecutions")
        for item in self._all(path, self._account(), "executions", "workflowExecutionId", params=params):
            try:
                yield wire.execution(item)
            except Refused as error:
                _log.warning("execution passed over", tenant=self._tenant.tenant, says=str(error))

    def cancel_execution(self, workflow_execution_id: str) -> Execution:
        """Cancel an execution, and see how it stands then; Refused(400) where it had ended already."""
        path = f"/workflowExecutions/{_segment(workflow_execution_id)}"
        refused = None
        try:
            self._ask("PUT", path, body={"status": ExecutionStatus.CANCELLED.value})
        except Refused as error:
            if error.status != _BAD_REQUEST:
                raise
            refused = error
        found = wire.execution(self._ask("GET", path).document)
        # A repeated request is refused where the first one, which got no answer, was carried out.
        if refused and found.status is not ExecutionStatus.CANCELLED:
            raise refused
        return found

    def downloads(self, workflow_execution_id: str) -> Downloads:
        """Fresh links to the files of a result; Refused(404) while there are none."""
        path = f"/workflowExecutions/{_segment(workflow_execution_id)}/downloadUrls"
        answer = self._ask("GET", path)
        found = wire.downloads(answer.document)
        if found is None:
            raise Unavailable("AMC's answer has no download links", request_id=answer.request_id)
        return found

    def fetch(self, url: str, out: BinaryIO) -> int:
        """Write what a link leads to into `out`, unpacked; returns its bytes.

        Refused(403) where the link has expired. After any other error `out` may hold a part of it.
        """
        return self._fetcher.fetch(url, out)

    def _ask(
        self, method: str, path: str, *, body: Mapping[str, Any] | None = None, is_repeatable: bool = True
    ) -> Answer:
        """Of the tenant's instance."""
        return self._caller.call(
            method, self._path(path), self._account(), body=body, is_repeatable=is_repeatable
        )

    def _found(self, method: str, path: str) -> Answer | None:
        try:
            return self._ask(method, path)
        except Refused as error:
            if error.status == _NOT_FOUND:
                return None
            raise

    def _reported(self, name: str, key: str) -> list[dict[str, Any]]:
        return [
            dict(item) for item in self._all(self._path(f"/{name}"), self._account(), name, key, params=_PAGE)
        ]

    def _all(
        self,
        path: str,
        headers: Mapping[str, str],
        name: str,
        *keys: str,
        params: Mapping[str, str] | None = None,
    ) -> Iterator[Document]:
        return items(
            lambda asked: self._caller.call("GET", path, headers, params=asked), name, keys, params or {}
        )

    def _path(self, path: str) -> str:
        return f"/amc/reporting/{self._instance_id()}{path}"

    def _instance_id(self) -> str:
        return _segment(self._needed("instance_id"))

    def _account(self) -> dict[str, str]:
        """The headers that say for which AMC account (amc-api 1.3)."""
        return {
            "Amazon-Advertising-API-AdvertiserId": self._needed("advertiser_id"),
            "Amazon-Advertising-API-MarketplaceId": self._needed("marketplace_id"),
        }

    def _needed(self, field: str) -> str:
        value: str = getattr(self._tenant, field)
        if not value:
            file = f"config/tenants/{self._tenant.tenant}.yaml"
            raise ConfigError([Problem(file, field, "is needed to talk to AMC")])
        return value


def _segment(text: str) -> str:
    """One segment of a path; raises UsageError for what would lead to another path."""
    if text in ("", ".", ".."):
        raise UsageError(f"'{text}' is no id", hint="give an id as AMC shows it")
    return quote(text, safe="")
