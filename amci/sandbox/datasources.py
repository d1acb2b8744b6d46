"""The data sources as the reporting API describes them (amc-api 2.2)."""

from __future__ import annotations

from typing import Any

from amci.sandbox.backend import Backend
from amci.sandbox.errors import missing
from amci.sandbox.messages import Request, Response, page
from amci.sandbox.paging import cut, number_after, token
from amci.amcsql.sources import Source, sources


def data_sources(_: Backend, request: Request) -> Response:
    """GET /dataSources."""
    start, limit = number_after(request.query.get("nextToken"), 0), request.limit()
    known = list(sources().values())
    shown, is_more = cut(known[start : start + limit + 1], limit)
    return page(
        "dataSources", [_described(source) for source in shown], token(start + limit) if is_more else None
    )


def data_source(_: Backend, request: Request) -> Response:
    """GET /dataSources/{dataSourceId}."""
    name = request.parts["dataSourceId"]
    source = sources().get(name)
    if source is None:
        raise missing("Data source", name)
    return Response(document=_described(source))


def _described(source: Source) -> dict[str, Any]:
    return {
        "dataSourceId": source.name,
        "description": f"{source.kind} table of {source.category}",
        "owner": "AMAZON",
        "provider": "AMAZON",
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
