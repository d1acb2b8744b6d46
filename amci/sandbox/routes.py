"""Which handler answers which request, and the handlers of data sources, Amazon's and uploaded (amc-api 2.2)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from amci.amcsql.sources import Source, sources
from amci.sandbox import administration, advertisers, definitions, delivery, executions, login, schedules
from amci.sandbox.audiences import handlers as audiences
from amci.sandbox.backend import Backend
from amci.sandbox.errors import missing
from amci.sandbox.http import Request, Response
from amci.sandbox.resources import cut, page
from amci.sandbox.uploads import datasets, deletions, uploads
from amci.sandbox.uploads.uploaded import uploaded_sources

#: Answers a request. All of them raise Refusal for a request that AMC refuses.
Handler = Callable[[Backend, Request], Response]

_REPORTING = "/amc/reporting/{instanceId}"
_EXECUTION = f"{_REPORTING}/workflowExecutions/{{workflowExecutionId}}"
_INSTANCE = "/amc/instances/{instanceId}"
_UPDATES = f"{_INSTANCE}/advertisers/updates"
_COLLABORATION = f"{_INSTANCE}/collaboration"
_UPLOADED = "/amc/advertiserData/{instanceId}"
_AUDIENCE = "/amc/audiences/query/{audienceExecutionId}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A method and a path, and their handler."""

    method: str
    path: str
    handler: Handler
    media: str = "application/json"

    @property
    def is_public(self) -> bool:
        """Whether it answers without an access token."""
        return not self.path.startswith("/amc/")

    @property
    def needs_all(self) -> bool:
        """Whether its instance must have been created, and AMC's terms accepted."""
        return self.path.startswith((_REPORTING, _UPLOADED, f"{_INSTANCE}/"))


def _things(name: str, path: str, variable: str, room: object, one: str) -> list[Endpoint]:
    """The five routes of a resource: list, create, show, change and delete."""
    media = f"application/vnd.amc{path.lower()}.v1+json"
    base, single = f"{_REPORTING}/{path}", f"{_REPORTING}/{path}/{{{variable}}}"
    return [
        Endpoint("GET", base, getattr(room, name), media),
        Endpoint("POST", base, getattr(room, "create")),  # noqa: B009 - the five look alike
        Endpoint("GET", single, getattr(room, one), media),
        Endpoint("PUT", single, getattr(room, "change")),  # noqa: B009
        Endpoint("DELETE", single, getattr(room, "delete")),  # noqa: B009
    ]


def _uploaded(method: str, path: str, handler: Handler) -> Endpoint:
    """A route of advertiser data uploads, with their media type."""
    column = "column" if "/columns" in path else ""
    family = {"dataSets": f"advertiserdataset{column}", "uploads": "dataupload"}
    media = family.get(path.split("/")[1], "userdeletionrequest")
    return Endpoint(method, f"{_UPLOADED}{path}", handler, f"application/vnd.amc{media}.v1+json")


def data_sources(backend: Backend, request: Request) -> Response:
    """GET /dataSources."""
    shown, token = cut(request, list(_known(backend, request).values()))
    return page("dataSources", [_described(source) for source in shown], token)


def data_source(backend: Backend, request: Request) -> Response:
    """GET /dataSources/{dataSourceId}."""
    name = request.parts["dataSourceId"]
    source = _known(backend, request).get(name)
    if source is None:
        raise missing("Data source", name)
    return Response(document=_described(source))


def _known(backend: Backend, request: Request) -> Mapping[str, Source]:
    """Amazon's data sources, and the uploaded ones, which hide one of Amazon's of the same name (amc-api 3.5)."""
    return {**sources(), **uploaded_sources(backend, request.instance.instance_id)}


def _described(source: Source) -> dict[str, Any]:
    return {
        "dataSourceId": source.name,
        "description": f"{source.kind} table of {source.category}",
        "owner": "CUSTOMER" if source.is_uploaded else "AMAZON",
        "provider": "ADVERTISER_DATA_UPLOAD" if source.is_uploaded else "AMAZON",
        "isPremium": source.category == "PAID",
        "columns": [
            {
                "name": column.name,
                "columnType": column.kind,
                "dataType": column.type.partition("(")[0].partition("[")[0],
                "description": "",
                "sensitivity": column.threshold,
            }
            for column in source.columns
        ],
        "outputChannels": [{"channel": {"type": "DOWNLOAD"}, "outputAvailable": True}],
        "tags": [],
    }


ROUTES = (
    Endpoint("POST", "/auth/o2/token", login.give_token),
    Endpoint("GET", "/results/{instanceId}/{workflowExecutionId}/{file}", delivery.fetch),
    Endpoint("GET", "/amc/accounts", administration.accounts),
    Endpoint("GET", f"{_REPORTING}/dataSources", data_sources, "application/vnd.amcdatasources.v1+json"),
    Endpoint(
        "GET",
        f"{_REPORTING}/dataSources/{{dataSourceId}}",
        data_source,
        "application/vnd.amcdatasources.v1+json",
    ),
    *_things("workflows", "workflows", "workflowId", definitions, "workflow"),
    *_things("schedules", "schedules", "scheduleId", schedules, "schedule"),
    *_things("listed", "workflowExecutions", "workflowExecutionId", executions, "get"),
    Endpoint(
        "GET", f"{_EXECUTION}/downloadUrls", delivery.links, "application/vnd.amcworkflowexecutions.v1+json"
    ),
    Endpoint("GET", "/amc/instances", administration.instances),
    Endpoint("POST", "/amc/instances", administration.create),
    Endpoint("GET", _INSTANCE, administration.instance),
    Endpoint("PUT", _INSTANCE, administration.change),
    Endpoint("DELETE", _INSTANCE, administration.delete),
    Endpoint("POST", f"{_INSTANCE}/updateCustomerAwsAccount", administration.update_customer_aws_account),
    Endpoint("GET", f"{_INSTANCE}/advertisers", advertisers.advertisers),
    Endpoint("GET", _UPDATES, advertisers.updates),
    Endpoint("POST", _UPDATES, advertisers.start_update),
    Endpoint("GET", f"{_UPDATES}/{{updateId}}", advertisers.update),
    Endpoint("GET", _COLLABORATION, administration.collaboration),
    Endpoint("POST", f"{_COLLABORATION}/idmappingtables/list", administration.tables),
    Endpoint("POST", f"{_COLLABORATION}/idnamespaces/list", administration.namespaces),
    Endpoint("POST", "/amc/audiences/query", audiences.create),
    Endpoint("POST", "/amc/audiences/lookalike", audiences.create_lookalike),
    Endpoint("GET", "/amc/audiences/query", audiences.audiences),
    Endpoint("GET", _AUDIENCE, audiences.audience),
    Endpoint("PUT", _AUDIENCE, audiences.change),
    Endpoint("DELETE", _AUDIENCE, audiences.delete),
    _uploaded("POST", "/dataSets", datasets.create),
    _uploaded("POST", "/dataSets/list", datasets.data_sets),
    _uploaded("GET", "/dataSets/{dataSetId}", datasets.data_set),
    _uploaded("PUT", "/dataSets/{dataSetId}", datasets.change),
    _uploaded("DELETE", "/dataSets/{dataSetId}", datasets.delete),
    _uploaded("POST", "/dataSets/{dataSetId}/columns", datasets.add_column),
    _uploaded("PUT", "/dataSets/{dataSetId}/columns/{columnName}", datasets.change_column),
    _uploaded("DELETE", "/dataSets/{dataSetId}/columns/{columnName}", datasets.delete_column),
    _uploaded("POST", "/uploads/list", uploads.uploads),
    _uploaded("POST", "/uploads/{dataSetId}", uploads.create),
    _uploaded("GET", "/uploads/{dataSetId}/{uploadId}", uploads.upload),
    _uploaded("POST", "/userDeletionRequest", deletions.create),
    _uploaded("POST", "/userDeletionRequest/list", deletions.deletions),
    _uploaded("GET", "/userDeletionRequest/{userDeletionRequestId}", deletions.deletion),
)

_VARIABLE = re.compile(r"\{(\w+)\}")
_PATTERNS = [
    (route, re.compile(_VARIABLE.sub(lambda found: f"(?P<{found[1]}>[^/]+)", route.path))) for route in ROUTES
]


def route_of(method: str, path: str) -> tuple[Endpoint, dict[str, str]] | None:
    """The route of a request and the variable parts of its path; None if there is no such route."""
    for route, pattern in _PATTERNS:
        if route.method == method and (found := pattern.fullmatch(path)):
            return route, found.groupdict()
    return None
