"""Recording and replaying: the two ways to put a fixture where the network would be."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

from amci.kernel.clock import Clock, timestamp
from amci.kernel.errors import NotRecorded
from amci.kernel.files import storage_errors, text_of, write_bytes
from amci.kernel.text import utf8
from amci.kernel.version import __version__
from amci.workflows.amazon import fixtures
from amci.workflows.amazon.fixture_matching import Answers, Matching
from amci.workflows.amazon.fixtures import LARGEST_DOWNLOAD, Family, RecordedRequest
from amci.workflows.amazon.scrub import Scrubber
from amci.workflows.amazon.transport import bound_answer

_KEPT_HEADERS = ("content-type", "retry-after", "x-amz-rid")
_PACKING = ("content-encoding", "content-length", "transfer-encoding")
_LOGIN_PATH = "/auth/o2/token"
#: What every login is answered in replay; it opens nothing.
_LOGIN = {"access_token": "Atza|replay", "token_type": "bearer", "expires_in": 3600}


def family(url: httpx.URL, scrubber: Scrubber) -> Family:
    """Which of Amazon's hosts is meant, wherever it stands."""
    if url.path == _LOGIN_PATH:
        return "login"
    if scrubber.has_link(str(url)):
        return "download"
    is_api = url.path.startswith("/amc/") or url.host.startswith("advertising-api")
    return "api" if is_api else "download"


def scrubbed(request: httpx.Request, scrubber: Scrubber) -> dict[str, Any]:
    """The request as it stands in a fixture."""
    host = family(request.url, scrubber)
    if host == "download":
        link = scrubber.link(str(request.url))
        return {"method": request.method, "host": host, "path": httpx.URL(link).path}
    query: dict[str, Any] = {}
    for name in request.url.params:
        values = request.url.params.get_list(name)
        key = "authorization_code" if name == "code" else name
        query[scrubber.text(name)] = scrubber.value(values[0] if len(values) == 1 else values, key)
    return (
        {"method": request.method, "host": host, "path": scrubber.path(request.url.path)}
        | ({"query": query} if query else {})
        | fixtures.body(request.read(), scrubber)
    )


class Recorder:
    """The file being recorded; whole after every exchange. Threads may share it."""

    def __init__(self, path: Path, scrubber: Scrubber, clock: Clock) -> None:
        """What is recorded there already is kept, and the new exchanges follow it."""
        self._path = path
        self._began_at = clock.now()
        self._lock = threading.Lock()
        self._entries: list[str | None] = []
        self._learned = 0
        self.scrubber = scrubber
        if path.exists():
            earlier = fixtures.read(path)
            self.scrubber = scrubber.resumed(earlier.known, text_of(path, most=fixtures.LARGEST))
            self._entries = [_entry(exchange.plain()) for exchange in earlier.exchanges]

    def request(self, request: httpx.Request) -> tuple[int, dict[str, Any]]:
        """Keep the place of an exchange, so that answers which overtake each other change no order."""
        with self._lock:
            self._entries.append(None)
            return len(self._entries) - 1, scrubbed(request, self.scrubber)

    def answer(
        self, place: int, request: Mapping[str, Any], response: httpx.Response, content: bytes, more: int
    ) -> None:
        """Write the exchange down; `more` bytes of the content are left out. StorageError."""
        with self._lock:
            kept = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
            headers = self.scrubber.value(kept)
            is_download = request["host"] == "download"
            answer = {"status": response.status_code} | ({"headers": headers} if headers else {})
            answer |= fixtures.body(content, self.scrubber, is_download=is_download, more=more)
            self._entries[place] = _entry({"request": dict(request), "response": answer})
            self._save()

    def _save(self) -> None:
        if self.scrubber.learned != self._learned:
            # An id that is only known now may stand in an earlier answer.
            self._entries = [entry and self.scrubber.ids(entry) for entry in self._entries]
            self._learned = self.scrubber.learned
        header = {
            "format": 1,
            "recorded_at": timestamp(self._began_at),
            "amci": __version__,
            "known": self.scrubber.pseudonyms,
        }
        text = fixtures.dumped(header) + "exchanges:\n" + "".join(filter(None, self._entries))
        with storage_errors(f"write {self._path.name}"):
            write_bytes(self._path, utf8(text))


def _answer(status: int, headers: list[tuple[str, str]], content: bytes) -> httpx.Response:
    # A stream: what is given as content counts as read already, and could not be streamed any more.
    return httpx.Response(status, headers=headers, stream=httpx.ByteStream(content))


def _entry(exchange: Mapping[str, Any]) -> str:
    return fixtures.dumped([exchange])


class RecordTransport(httpx.BaseTransport):
    """Passes requests on and writes down, scrubbed, what was asked and answered; logins leave no trace."""

    def __init__(self, inner: httpx.BaseTransport, path: Path, scrubber: Scrubber, clock: Clock) -> None:
        self._inner = inner
        self._recorder = Recorder(path, scrubber, clock)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """What `inner` answers; what it raises is not recorded."""
        if request.url.path == _LOGIN_PATH:
            return self._inner.handle_request(request)
        request.read()
        place, asked = self._recorder.request(request)
        response = self._inner.handle_request(request)
        # What is recorded and passed on is what was meant, without the packing of this one connection.
        headers = [(name, value) for name, value in response.headers.multi_items() if name not in _PACKING]
        if asked["host"] == "download":
            stream = _Listening(
                response, lambda seen, more: self._recorder.answer(place, asked, response, seen, more)
            )
            # How its end can be told stays known, unless it is unpacked here.
            whole = "content-encoding" not in response.headers
            return httpx.Response(
                response.status_code,
                headers=response.headers.multi_items() if whole else headers,
                stream=stream,
                extensions=response.extensions,
            )
        bound_answer(response)
        content = response.read()
        response.close()
        self._recorder.answer(place, asked, response, content, 0)
        return _answer(response.status_code, headers, content)

    def close(self) -> None:
        """Close the transport underneath."""
        self._inner.close()


class _Listening(httpx.SyncByteStream):
    """A download that is passed on as it comes, and heard up to a bounded size."""

    def __init__(self, response: httpx.Response, heard: Callable[[bytes, int], None]) -> None:
        self._response = response
        self._heard = heard

    def __iter__(self) -> Iterator[bytes]:
        seen, more = bytearray(), 0
        for chunk in self._response.iter_bytes():
            kept = chunk[: LARGEST_DOWNLOAD - len(seen)]
            seen += kept
            more += len(chunk) - len(kept)
            yield chunk
        self._heard(bytes(seen), more)

    def close(self) -> None:
        self._response.close()


class ReplayTransport(httpx.BaseTransport):
    """Answers from a fixture and nothing else; threads may share it. Raises NotRecorded."""

    def __init__(self, path: Path, scrubber: Scrubber, matching: Matching) -> None:
        """Raises NotFound if the scenario is not recorded, ConfigError if the file is damaged."""
        fixture = fixtures.read(path)
        self._scrubber = scrubber.resumed(fixture.known, text_of(path, most=fixtures.LARGEST))
        self._answers = Answers(fixture, matching, scenario=path.stem)
        self._lock = threading.Lock()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The recorded answer, speaking of the project's real ids."""
        if request.url.path == _LOGIN_PATH:
            return httpx.Response(200, json=_LOGIN)
        request.read()
        with self._lock:
            asked = RecordedRequest.model_validate(scrubbed(request, self._scrubber))
            found = self._answers.answer(asked).response
        if found.cut and found.text is None:
            raise NotRecorded(
                f"the file behind {asked.path} was too long to be recorded", hint="record a smaller scenario"
            )
        headers = {"content-type": "application/json"} if found.document is not None else {}
        real = found.model_copy(
            update={
                "document": self._scrubber.unscrubbed(found.document),
                "text": self._scrubber.unscrubbed(found.text),
            }
        )
        return _answer(found.status, list((headers | found.headers).items()), real.content())
