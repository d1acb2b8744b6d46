"""Which recorded answer belongs to a request: in the order of the recording, or by what is asked."""

from __future__ import annotations

import difflib
import json
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from amci.kernel.errors import NotRecorded
from amci.workflows.amazon.fixtures import Exchange, Fixture, RecordedRequest

Matching = Literal["strict", "any_order"]

_TIME = re.compile(r"(?<!\d)\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?(?!\d)")
#: Ids amci makes from a run's key, which holds the moment of its fire.
_OWN = re.compile(r"(?<![A-Za-z0-9])amci-[0-9a-f]{8,32}(?![A-Za-z0-9])")


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestPattern:
    """A request, scrubbed, in the one form in which requests are compared."""

    line: str  #: method, path and query, as people read it
    fields: Mapping[str, str] = field(default_factory=dict)  #: of the body; a text has one without a name

    @classmethod
    def of(cls, request: RecordedRequest) -> RequestPattern:
        """The canonical form: parameters and fields in the order of their names."""
        query = "&".join(f"{name}={_plain(value)}" for name, value in sorted(request.query.items()))
        where = request.path if request.host == "api" else f"({request.host}) {request.path}"
        content = request.document if request.document is not None else request.content().decode("latin-1")
        if not isinstance(content, Mapping):
            content = {"": content} if content else {}
        return cls(
            line=f"{request.method} {where}" + (f"?{query}" if query else ""),
            fields={name: _plain(value) for name, value in sorted(content.items())},
        )

    @property
    def exact(self) -> str:
        """Equal for equal requests."""
        return f"{self.line} {json.dumps(dict(self.fields))}"

    @property
    def loose(self) -> str:
        """Equal for requests that differ only in their times."""
        return _OWN.sub("<ours>", _TIME.sub("<time>", self.exact))


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


class Answers:
    """The answers of one fixture, given out one by one. Its caller keeps threads apart."""

    def __init__(self, fixture: Fixture, matching: Matching, *, scenario: str) -> None:
        self._exchanges = fixture.exchanges
        self._asked = [RequestPattern.of(exchange.request) for exchange in fixture.exchanges]
        self._scenario = scenario
        self._is_strict = matching == "strict"
        self._next = 0
        self._given: set[int] = set()
        self._exact: dict[str, list[int]] = defaultdict(list)
        self._loose: dict[str, list[int]] = defaultdict(list)
        for number, asked in enumerate(self._asked):
            self._exact[asked.exact].append(number)
            self._loose[asked.loose].append(number)

    def answer(self, request: RecordedRequest) -> Exchange:
        """The exchange whose answer this request gets; raises NotRecorded."""
        asked = RequestPattern.of(request)
        number = self._in_order(asked) if self._is_strict else self._by_content(request, asked)
        if number is None:
            raise self._not_recorded(asked)
        self._given.add(number)
        return self._exchanges[number]

    def _in_order(self, asked: RequestPattern) -> int | None:
        if self._next == len(self._asked) or self._asked[self._next].exact != asked.exact:
            return None
        self._next += 1
        return self._next - 1

    def _by_content(self, request: RecordedRequest, asked: RequestPattern) -> int | None:
        """The first answer not given yet; what only reads may have the last one again."""
        group = self._exact.get(asked.exact) or self._loose.get(asked.loose) or []
        fresh = next((number for number in group if number not in self._given), None)
        return group[-1] if fresh is None and group and request.method == "GET" else fresh

    def _not_recorded(self, asked: RequestPattern) -> NotRecorded:
        message = f"the fixture '{self._scenario}' has no answer to {asked.line}"
        if self._is_strict:
            message += f"; next in it is {self._expected(asked)}"
        elif asked.exact in self._exact:
            message += f" for the {_ordinal(len(self._exact[asked.exact]) + 1)} time"
        return NotRecorded(
            message, hint=f"{self._nearest(asked)}; record the scenario again if AMC is to be asked this"
        )

    def _expected(self, asked: RequestPattern) -> str:
        if self._next == len(self._asked):
            return "its end"
        expected = self._asked[self._next]
        return f"{expected.line}{_difference(asked, expected)} (exchange {self._next + 1})"

    def _nearest(self, asked: RequestPattern) -> str:
        by_line = {other.line: other for other in self._asked}
        near = difflib.get_close_matches(asked.line, by_line, n=3, cutoff=0.3)
        shown = [f"{line}{_difference(asked, by_line[line])}" for line in near]
        return f"nearest recorded: {', '.join(shown)}" if shown else "nothing like it is recorded"


def _difference(asked: RequestPattern, other: RequestPattern) -> str:
    """Which fields of the body differ, if the rest is the same."""
    if asked.line != other.line:
        return ""
    names = sorted(
        name
        for name in {*asked.fields, *other.fields}
        if _TIME.sub("", asked.fields.get(name, "")) != _TIME.sub("", other.fields.get(name, ""))
    )
    return f" with another {', '.join(filter(None, names)) or 'body'}" if names else ""


def _ordinal(number: int) -> str:
    return (
        f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10 if number not in (11, 12, 13) else 0, 'th') }"
    )
