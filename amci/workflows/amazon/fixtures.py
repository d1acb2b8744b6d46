"""A fixture: the recorded answers of AMC to one scenario, as one readable file; its format, reading and checking.

The format is described in docs/fixtures.md. Nothing here talks to anybody.
"""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Base64Bytes, Field

from amci.kernel.config import Strict, parsed, read_document
from amci.kernel.errors import ConfigError, NotFound, UsageError
from amci.kernel.files import json_of, text_of
from amci.workflows.amazon import scrub_rules
from amci.workflows.amazon.scrub import Scrubber

#: A download longer than this is cut at the end of a line; bytes.
LARGEST_DOWNLOAD = 1_000_000
#: Bytes of a recording that is read.
LARGEST = 256 * 1024**2

Family = Literal["api", "login", "download"]
_GZIP = b"\x1f\x8b"


class Message(Strict):
    """What both halves of an exchange may have: a body in one of three forms, or none."""

    document: dict[str, Any] | list[Any] | None = Field(None, alias="json")
    """The body if it is JSON."""
    text: str | None = None
    """The body if it is any other text."""
    base64: Base64Bytes | None = None
    """The body if it is not text."""
    gzip: bool = False
    """Whether `text` was compressed."""
    cut: int = 0
    """Bytes of a long download that are not here, at least."""

    def content(self) -> bytes:
        """The body as it is sent."""
        if self.document is not None:
            return json.dumps(self.document, separators=(",", ":")).encode()
        content = self.base64 or (self.text or "").encode()
        return gzip.compress(content, mtime=0) if self.gzip else content


class RecordedRequest(Message):
    """What was asked."""

    method: str
    host: Family
    """Which of Amazon's hosts, whatever the region: the API, Login with Amazon, or where results are fetched."""
    path: str
    query: dict[str, str | list[str]] = Field(default_factory=dict)


class RecordedResponse(Message):
    """What was answered."""

    status: int = Field(ge=100, le=599)
    headers: dict[str, str] = Field(default_factory=dict)


class Exchange(Strict):
    """A request with its answer."""

    request: RecordedRequest
    response: RecordedResponse

    def plain(self) -> dict[str, Any]:
        """As it stands in the file."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)


class Fixture(Strict):
    """A whole file."""

    format: Literal[1]
    recorded_at: str
    amci: str
    """The version that recorded it."""
    known: dict[str, str] = Field(default_factory=dict)
    """The name of each of the project's ids, such as `acme.instance_id`, with its pseudonym."""
    exchanges: tuple[Exchange, ...] = ()


def scenario_path(folder: Path, scenario: str) -> Path:
    """The file of a scenario; UsageError if the name cannot be one."""
    if not scenario or scenario.startswith(".") or "/" in scenario or not scenario.isprintable():
        raise UsageError(
            f"'{scenario}' cannot be a scenario", hint="name it as a file, such as 'nightly': no '/'"
        )
    return folder / f"{scenario}.yaml"


def scenarios(folder: Path) -> list[str]:
    """The scenarios that are recorded, by name."""
    return sorted(path.stem for path in folder.glob("*.yaml") if not path.name.startswith("."))


def read(path: Path) -> Fixture:
    """The fixture at `path`; NotFound, or ConfigError with every mistake in it."""
    if not path.exists():
        there = ", ".join(scenarios(path.parent)) or "none yet"
        raise NotFound(
            f"no fixture for the scenario '{path.stem}'",
            hint=f"record it with `mode: record` in amci.yaml; recorded are: {there}",
        )
    shown = f"fixtures/{path.name}"
    return parsed(Fixture, read_document(path, shown, most=LARGEST, is_recording=True), shown)


def numbered(fixture: Fixture, number: int) -> Exchange:
    """The exchange with this number, counted from 1; NotFound."""
    if not 1 <= number <= len(fixture.exchanges):
        raise NotFound(f"no exchange {number}", hint=f"there are {len(fixture.exchanges)}, counted from 1")
    return fixture.exchanges[number - 1]


def summary(path: Path) -> dict[str, Any]:
    """What one may want to know of a fixture at a glance; a damaged one says so."""
    about: dict[str, Any] = {"scenario": path.stem, "bytes": path.stat().st_size}
    try:
        fixture = read(path)
    except ConfigError as error:
        return about | {"recorded_at": f"damaged: {error.problems[0].says}"}
    return about | {
        "exchanges": len(fixture.exchanges),
        "recorded_at": fixture.recorded_at,
        "amci": fixture.amci,
        "known": fixture.known,
    }


def body(content: bytes, scrubber: Scrubber, *, is_download: bool = False, more: int = 0) -> dict[str, Any]:
    """The scrubbed fields of a body; `more` bytes of it were left out already."""
    if not content:
        return {}
    if not is_download and (document := _document(content)) is not None:
        return {"json": scrubber.value(document)}
    is_zipped = content.startswith(_GZIP)
    plain = _unzipped(content) if is_zipped else content
    if is_download and (more or len(plain) > LARGEST_DOWNLOAD):
        kept = plain[:LARGEST_DOWNLOAD].rpartition(b"\n")[0] + b"\n"
        plain, more = kept, more + len(plain) - len(kept)
    fields: dict[str, Any] = {"gzip": True} if is_zipped else {}
    try:
        fields["text"] = scrubber.text(plain.decode(), is_data=is_download)
    except UnicodeDecodeError:
        scrubbed = scrubber.text(plain.decode("latin-1"), is_data=is_download).encode("latin-1")
        fields["base64"] = "" if more else base64.b64encode(scrubbed).decode()
    return fields | ({"cut": more} if more else {})


def _document(content: bytes) -> dict[str, Any] | list[Any] | None:
    """An object or array of JSON, whatever its content type said; None for anything else."""
    try:
        found = json_of(content)
    except ValueError:
        return None
    return found if isinstance(found, dict | list) else None


def _unzipped(content: bytes) -> bytes:
    """As much as is wanted of a compressed file, which may be torn."""
    try:
        return zlib.decompressobj(wbits=31).decompress(content, LARGEST_DOWNLOAD + 1)
    except zlib.error:
        return b""


class _Dumper(yaml.SafeDumper):
    """YAML as people read it: texts of several lines as blocks, no anchors."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the signature is PyYAML's
        return True


def _as_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # YAML folds these line ends of Unicode's wherever they are not escaped.
    is_odd = any(sign in text for sign in "\x85\u2028\u2029")
    style = '"' if is_odd else "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _as_text)


def dumped(value: Any) -> str:
    """`value` as YAML."""
    # No line is ever folded: an id stays in one piece for who searches the file.
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=2**31)


def verify(path: Path, scrubber: Scrubber) -> list[str]:
    """Everything that is wrong with a fixture, a sentence each; `scrubber` knows the project's ids. NotFound."""
    try:
        fixture = read(path)
    except ConfigError as error:
        return [str(problem) for problem in error.problems]
    text = text_of(path, most=LARGEST)
    problems = [f"line {line}: {what} is still there" for line, what in scrub_rules.leaks(text)]
    fresh = scrubber.resumed(fixture.known, text)
    if fresh.ids(text) != text:
        problems.append("an id of this project is still there in plain")
    for number, exchange in enumerate(fixture.exchanges, start=1):
        shown = f"exchange {number} ({exchange.request.method} {exchange.request.path})"
        problems += [f"{shown}: {problem}" for problem in _problems(exchange, fresh)]
    return problems + list(_missing_downloads(fixture))


def _problems(exchange: Exchange, scrubber: Scrubber) -> Iterator[str]:
    is_download = exchange.request.host == "download"
    for message in (exchange.request, exchange.response):
        values = message.model_dump(include={"document", "headers", "query"}, exclude_none=True)
        text = message.text or ""
        is_clean = scrubber.value(values) == values and scrubber.text(text, is_data=is_download) == text
        if not is_clean or scrubber.path(exchange.request.path) != exchange.request.path:
            yield "holds something that should have been scrubbed"
        if message.cut and message.text is None:
            yield "the file was too long to be recorded"
    if exchange.request.host == "login":
        yield "logins are never recorded"


def _missing_downloads(fixture: Fixture) -> Iterator[str]:
    fetched = {e.request.path for e in fixture.exchanges if e.request.host == "download"}
    for number, exchange in enumerate(fixture.exchanges, start=1):
        document = exchange.response.document
        links = document.get("downloadUrls") if isinstance(document, Mapping) else None
        for link in links or []:
            if str(link).removeprefix("https://download.invalid") not in fetched:
                yield f"exchange {number}: the file behind {link} was never fetched"
