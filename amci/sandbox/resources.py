"""What the resources of the API have in common: pages and their tokens, a row by its id, and ids that are taken.

    SCHEDULES = Resource(name="schedule", title="Schedule", part="scheduleId", items="schedules")

A page is then `SCHEDULES.page(backend, request, _shown)`, and a schedule `SCHEDULES.row(backend, request)`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from sqlite3 import Row
from typing import Any

from amci.kernel.clock import new_id
from amci.sandbox.backend import Backend
from amci.sandbox.errors import bad, duplicate, missing
from amci.sandbox.http import Request, Response

_MOST = 100  #: items on a page (amc-api 1.6)
_MARK = "after:"  #: begins the text of a token


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A kind of thing that an instance has many of, in one table of the store, each with an id.

    `store.sql` names its statements after it: `schedule`, `schedules`, `new_schedule`, `delete_schedule`, and the
    column of its id, `schedule_id`.
    """

    name: str
    title: str  #: AMC's word in errors
    part: str  #: of paths: the variable with the id
    items: str  #: the key of a list in answers
    #: sorts before the first of a list, which is ordered by id, or by `seq` if a number
    first: str | int = ""
    limit: str = "limit"  #: the parameter that says how many items a page may have

    def row(self, backend: Backend, request: Request, **more: object) -> Row:
        """The row of the id in the path. Raises Refusal (404)."""
        return self.find(backend, request.instance.instance_id, request.parts[self.part], **more)

    def find(self, backend: Backend, instance_id: str, resource_id: str, **more: object) -> Row:
        """The row of an id. Raises Refusal (404)."""
        row = backend.store.row(
            self.name, instance_id=instance_id, **{f"{self.name}_id": resource_id}, **more
        )
        if row is None:
            raise missing(self.title, resource_id)
        return row

    def insert(self, backend: Backend, **values: Any) -> None:
        """Add a row. Raises Refusal (400) if its id is taken."""
        if not backend.store.do(f"new_{self.name}", **values):
            raise duplicate(self.title, values[f"{self.name}_id"])

    def delete(self, backend: Backend, request: Request) -> None:
        """Delete the row of the id in the path. Raises Refusal (404)."""
        resource_id = request.parts[self.part]
        names = {"instance_id": request.instance.instance_id, f"{self.name}_id": resource_id}
        if not backend.store.do(f"delete_{self.name}", **names):
            raise missing(self.title, resource_id)

    def page(
        self,
        backend: Backend,
        request: Request,
        shown: Callable[[Row], Any],
        *,
        parameters: Mapping[str, str] | None = None,
        statement: str = "",
        first: int | None = None,
        **filters: object,
    ) -> Response:
        """A page of the rows that `statement` reads, each as `shown`, with `nextToken` if there are more.

        `parameters` are those of the query unless given. Raises Refusal for a bad limit or token.
        """
        parameters = request.query if parameters is None else parameters
        most = limit_of(parameters, self.limit)
        begin = self.first if first is None else first
        after = _position(parameters.get("nextToken"), begin)
        rows = backend.store.rows(
            statement or f"{self.name}s",
            instance_id=request.instance.instance_id,
            after=after,
            limit=most + 1,
            **filters,
        )
        more, rows = len(rows) > most, rows[:most]
        order = f"{self.name}_id" if begin == "" else "seq"
        return page(self.items, [shown(row) for row in rows], _token(rows[-1][order]) if more else None)


def page(items: str, shown: Sequence[Any], token: str | None) -> Response:
    """A list under its key, with `nextToken` if there is one."""
    return Response(document={items: list(shown)} | ({"nextToken": token} if token else {}))


def cut(request: Request, items: Sequence[Any]) -> tuple[Sequence[Any], str | None]:
    """The requested page of a list that is in memory, and the token of the next one. Raises Refusal."""
    most = limit_of(request.query)
    start = int(_position(request.query.get("nextToken"), 0))
    end = start + most
    return items[start:end], _token(end) if len(items) > end else None


def whole(request: Request, name: str, items: Sequence[Any]) -> Response:
    """A page of a list that is in memory; the administration API writes null if there is no more."""
    shown, token = cut(request, items)
    return Response(document={name: list(shown), "nextToken": token})


def limit_of(parameters: Mapping[str, str], name: str = "limit") -> int:
    """How many items a page may have. Raises Refusal."""
    text = parameters.get(name) or str(_MOST)
    if not text.isdecimal() or not 1 <= int(text) <= _MOST:
        raise bad(f"{name} must be between 1 and {_MOST}.")
    return int(text)


def new_uuid() -> str:
    """A new id as AMC writes them: hexadecimal digits in groups of 8, 4, 4, 4 and 12."""
    digits = new_id()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _token(after: object) -> str:
    """The token of the page that begins after `after`; unreadable from outside, as AMC's are."""
    return base64.urlsafe_b64encode(f"{_MARK}{after}".encode()).decode()


def _position(token: str | None, first: str | int) -> str | int:
    """Inverse of `_token`, of the same type as `first`, which stands for no token. Raises Refusal."""
    if not token:
        return first
    try:
        text = base64.urlsafe_b64decode(token.encode()).decode()
    except (binascii.Error, ValueError) as error:
        raise bad("Invalid nextToken.") from error
    value = text.removeprefix(_MARK)
    if value == text or (isinstance(first, int) and not value.isdecimal()):
        raise bad("Invalid nextToken.")
    return int(value) if isinstance(first, int) else value
