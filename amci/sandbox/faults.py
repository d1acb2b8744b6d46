"""Injected faults: each is set for coming requests, and used up by those that it matches."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from fnmatch import fnmatchcase
from typing import Any, Literal, get_args

from amci.kernel.errors import UsageError
from amci.sandbox.http import Request, Response

Kind = Literal[
    "throttle",  # answered with 429 and Retry-After
    "error",  # answered with `status` and an error body
    "no_answer_after",  # carried out, but not answered
    "late",  # not answered, and carried out only `seconds` later, while this process lives
    "no_connection",
    "expired_token",  # the access token counts as expired
    "stuck_pending",  # executions created meanwhile stay PENDING
    "empty_body",  # carried out, and answered with an empty body
    "changed_page",  # a list repeats an item and the token, as if it had changed between two pages
    "slow_links",  # download links have expired before they are used
    "other_text",  # a workflow or an audience is shown with another query than it has
]
KINDS: tuple[str, ...] = get_args(Kind)
#: Faults that only some requests can meet: method and path.
_ONLY = {
    "expired_token": ("*", "/amc/*"),
    "stuck_pending": ("POST", "/amc/reporting/*/workflowExecutions"),
    "changed_page": ("GET", "/amc/*"),
    "slow_links": ("GET", "/amc/reporting/*/downloadUrls"),
    "other_text": ("GET", "/amc/*"),
}


#: Fields that hold a query.
_TEXTS = ("sqlQuery", "query")


@dataclass(frozen=True, slots=True)
class InjectedFault:
    """A fault, and the requests that it matches."""

    kind: Kind
    method: str = "*"
    path: str = "*"  #: with `*` and `?` as wildcards
    times: int = 1  #: number of requests that meet it; 0 is all
    after: int = 0  #: number of matching requests that pass first
    status: int = 500  #: for `error`
    retry_after: int = 1  #: seconds, for `throttle`
    seconds: int = 90  #: for `late`

    def concerns(self, method: str, path: str) -> bool:
        """Whether a request can meet it."""
        patterns = ((self.method.upper(), self.path), _ONLY.get(self.kind, ("*", "*")))
        return all(fnmatchcase(method, one) and fnmatchcase(path, other) for one, other in patterns)


class Faults:
    """The faults that are set. Threads may share it."""

    def __init__(self) -> None:
        self._set: list[InjectedFault] = []
        self._lock = threading.Lock()

    def add(self, fault: InjectedFault) -> None:
        """Set one more."""
        with self._lock:
            self._set.append(fault)

    def clear(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._set.clear()

    def listed(self) -> list[dict[str, Any]]:
        """The faults that are still set, as JSON objects."""
        with self._lock:
            return [asdict(fault) for fault in self._set]

    def take(self, method: str, path: str) -> InjectedFault | None:
        """The first fault that a request meets, used up by one; None if it meets none."""
        with self._lock:
            for place, fault in enumerate(self._set):
                if not fault.concerns(method, path):
                    continue
                if fault.after:
                    self._set[place] = replace(fault, after=fault.after - 1)
                    continue
                if fault.times == 1:
                    del self._set[place]
                elif fault.times:
                    self._set[place] = replace(fault, times=fault.times - 1)
                return fault
        return None


def instead(fault: InjectedFault) -> Response | None:
    """The response of a fault that stops the request; None if the request is carried out."""
    if fault.kind == "throttle":
        return Response(status=429, document={"code": "429", "details": "Too Many Requests"})
    if fault.kind == "error":
        error = {"code": str(fault.status), "details": "Internal server error"}
        return Response(status=fault.status, document=error)
    if fault.kind == "late":
        return Response(status=0)
    if fault.kind == "no_connection":
        return Response(status=-1)
    return None


def afterwards(fault: InjectedFault, response: Response, request: Request) -> Response:
    """The response to a request that was carried out, as the fault changes it."""
    if fault.kind == "no_answer_after":
        return Response(status=0)
    if fault.kind == "empty_body":
        return replace(response, document=None, content=b"")
    if fault.kind == "changed_page" and isinstance(response.document, dict):
        return replace(response, document=_changed(response.document, request.query.get("nextToken")))
    if fault.kind == "other_text" and response.media.endswith("json"):
        document = json.loads(response.body())
        texts = {name: f"{text} + 1" for name, text in document.items() if name in _TEXTS and text}
        return replace(response, content=json.dumps({**document, **texts}).encode())
    return response


def _changed(document: dict[str, Any], token: str | None) -> dict[str, Any]:
    """Lists begin with their last item once more; the token is the one that was sent, or null."""
    lists = {name: [*items[-1:], *items] for name, items in document.items() if isinstance(items, list)}
    return {**document, **lists, "nextToken": token or document.get("nextToken")}


def fault_from(text: str) -> InjectedFault:
    """`throttle,path=*/workflows,times=3` as a fault; raises UsageError."""
    kind, *settings = text.split(",")
    given: dict[str, Any] = dict(setting.partition("=")[::2] for setting in settings)
    for name in ("times", "after", "status", "retry_after", "seconds"):
        if name in given and given[name].isdecimal():
            given[name] = int(given[name])
    return checked({"kind": kind, **given})


def checked(document: Mapping[str, Any]) -> InjectedFault:
    """A fault with these fields; raises UsageError."""
    types = {field.name: int if field.type == "int" else str for field in fields(InjectedFault)}
    if unknown := sorted(document.keys() - types.keys()):
        raise UsageError(f"a fault has no {', '.join(unknown)}", hint=f"it has {', '.join(types)}")
    if wrong := sorted(name for name, value in document.items() if type(value) is not types[name]):
        raise UsageError(
            f"{', '.join(wrong)}: not of the right type", hint="times and such are whole numbers"
        )
    if document.get("kind") not in KINDS:
        raise UsageError(f"no fault of kind '{document.get('kind')}'", hint=f"one of {', '.join(KINDS)}")
    return InjectedFault(**document)
