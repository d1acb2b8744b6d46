"""The data sources as the reporting API describes them (amc-api 2.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from amci.amcsql.sources import Source, sources
from amci.sandbox.backend import Backend
from amci.sandbox.errors import missing
from amci.sandbox.http import Request, Response, page
from amci.sandbox.paging import cut, number_after, token
from amci.sandbox.uploads.uploaded import uploaded_sources


def data_sources(backend: Backend, request: Request) -> Response:
    """GET /dataSources."""
    start, limit = number_after(request.query.get("nextToken"), 0), request.limit()
    known = list(_known(backend, request).values())
    shown, is_more = cut(known[start : start + limit + 1], limit)
    return page(
        "dataSources", [_described(source) for source in shown], token(start + limit) if is_more else None
    )


def data_source(backend: Backend, request: Request) -> Response:
    """GET /dataSources/{dataSourceId}."""
    name = request.parts["dataSourceId"]
    source = _known(backend, request).get(name)
    if source is None:
        raise missing("Data source", name)
    return Response(document=_described(source))


def _known(backend: Backend, request: Request) -> Mapping[str, Source]:
    """Amazon's, and those the advertiser uploaded, which win where two have the same name (amc-api 3.5)."""
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
