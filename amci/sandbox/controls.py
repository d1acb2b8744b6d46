"""The sandbox's own routes under /sandbox: faults are set, requests are counted."""

from __future__ import annotations

from collections.abc import Mapping

from amci.kernel.errors import UsageError
from amci.sandbox.errors import Refusal
from amci.sandbox.faults import Faults, checked
from amci.sandbox.http import Request, Response


def control(faults: Faults, requests: Mapping[str, int], request: Request) -> Response:
    """Answer a request to the sandbox about itself."""
    try:
        return _controlled(faults, requests, request)
    except UsageError as error:
        return Response(status=400, document={"code": "400", "details": f"{error}; {error.hint}"})
    except Refusal as refusal:
        said = {"code": str(refusal.status), "details": refusal.details}
        return Response(status=refusal.status, document=said)


def _controlled(faults: Faults, requests: Mapping[str, int], request: Request) -> Response:
    match request.method, request.path:
        case "GET", "/sandbox/requests":
            return Response(document={"requests": dict(requests)})
        case "GET", "/sandbox/faults":
            return Response(document={"faults": faults.listed()})
        case "POST", "/sandbox/faults":
            faults.add(checked(request.document()))
        case "DELETE", "/sandbox/faults":
            faults.clear()
        case _:
            raise Refusal(404, "Not found")
    return Response(document={})
