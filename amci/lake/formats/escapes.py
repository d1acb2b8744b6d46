"""Backslash escapes, as AMC writes them, turned into the doubled quotes of RFC 4180."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import chain
from typing import TYPE_CHECKING

from amci.kernel.errors import MalformedFile
from amci.lake.formats.source import at_least

if TYPE_CHECKING:
    from amci.lake.formats.model import CsvOptions

_WINDOW = 16 << 10


def unescaped(chunks: Iterator[bytes], options: CsvOptions, *, max_run: int) -> Iterator[bytes]:
    r"""The text with every quote in a value doubled.

    `backslash`: of k backslashes before a quote, each pair becomes one and an odd one escapes the quote.
    Backslashes anywhere else are text, so `C:\temp` stays. `double`: nothing is touched.
    `auto`: at a backslash before a quote both readings are tried on the next 16 KiB. The one in which quotes
    stand only where RFC 4180 has them for longer is kept for the rest of the file. If neither is better,
    the text is left as it is and the next such place is looked at.
    Raises MalformedFile if more than `max_run` backslashes follow each other.
    """
    if options.escape == "double" or not options.quote:
        return chunks
    dialect = _dialect(options.delimiter, options.quote, options.apostrophe)
    if options.escape == "backslash":
        return dialect.translated(chunks, max_run)
    return dialect.detected(chunks, max_run)


@dataclass(frozen=True)
class _Dialect:
    delimiter: bytes
    quote: bytes
    replacement: bytes

    @cached_property
    def _run(self) -> re.Pattern[bytes]:
        return re.compile(rb"(?<!\\)\\++" + re.escape(self.quote))

    @cached_property
    def _field(self) -> re.Pattern[bytes]:
        q, d = re.escape(self.quote), re.escape(self.delimiter)
        quoted = rb"(?P<quoted>%b)[^%b]*+(?:%b%b[^%b]*+)*+(?P<closed>%b)?" % (q, q, q, q, q, q)
        return re.compile(rb"(?:%b|[^%b%b\r\n]*+)(?:%b|\r\n?|\n|\Z)" % (quoted, q, d, d))

    def translated(self, chunks: Iterator[bytes], max_run: int) -> Iterator[bytes]:
        """Every escape turned into a doubled quote."""
        held = b""
        for chunk in chunks:
            text = held + chunk
            whole = text.rstrip(b"\\")
            held = text[len(whole) :]
            _check_run(held, max_run)
            if whole:
                yield self._translate(whole)
        if held:
            yield held

    def detected(self, chunks: Iterator[bytes], max_run: int) -> Iterator[bytes]:
        """Escapes turned into doubled quotes from the place on where the text proves to have them."""
        held = b""
        for chunk in chunks:
            text, done = held + chunk, 0
            while span := self._sighting(text, done):
                start, end = span
                if len(text) < end + _WINDOW:
                    yield text[:start]
                    text = at_least(chunks, end - start + _WINDOW, text[start:])
                    start, end, done = 0, end - start, 0
                sample = text[start : end + _WINDOW]
                has_escapes = self._verdict(sample, at_end=len(text) < end + _WINDOW)
                if has_escapes is not None:
                    yield text[:done]
                    rest = chain((text[done:],), chunks)
                    yield from self.translated(rest, max_run) if has_escapes else rest
                    return
                done = start + len(sample.rstrip(b"\\"))
            whole = text.rstrip(b"\\")
            held = text[len(whole) :]
            _check_run(held, max_run)
            yield whole
        yield held

    def _sighting(self, text: bytes, start: int) -> tuple[int, int] | None:
        """Where the next backslashes with a quote after them begin and end."""
        # A lone byte is found at the speed of memory; two are not, and most texts have no backslash.
        first = text.find(b"\\", start)
        at = text.find(b"\\" + self.quote, first) if first >= 0 else -1
        if at < 0:
            return None
        while at > start and text[at - 1 : at] == b"\\":
            at -= 1
        return at, text.index(self.quote, at) + 1

    def _translate(self, text: bytes) -> bytes:
        escaped = b"\\" + self.quote
        if b"\\" not in text or escaped not in text:
            return text
        if b"\\" + escaped not in text:
            return text.replace(escaped, self.replacement)
        return self._run.sub(self._replace, text)

    def _replace(self, found: re.Match[bytes]) -> bytes:
        pairs, odd = divmod(len(found[0]) - 1, 2)
        return b"\\" * pairs + (self.replacement if odd else self.quote)

    def _verdict(self, sample: bytes, *, at_end: bool) -> bool | None:
        """Whether a text that begins inside a quoted value has backslash escapes; None if one cannot tell."""
        opened = self.quote + sample
        doubled = self._reach(opened, at_end=at_end)
        escapes = self._reach(self.quote + self._run.sub(self._escape_doubled, sample), at_end=at_end)
        return None if doubled == escapes else escapes > doubled

    def _escape_doubled(self, found: re.Match[bytes]) -> bytes:
        # As long as what it replaces, so that both readings can be compared by how far they get.
        backslashes = len(found[0]) - 1
        return b"x" * (backslashes - 1) + (self.quote * 2 if backslashes % 2 else b"x" + self.quote)

    def _reach(self, text: bytes, *, at_end: bool) -> int:
        """Where the first quote stands that RFC 4180 does not allow; the length if there is none."""
        at = 0
        while at < len(text):
            found = self._field.match(text, at)
            if found is None:
                return at
            if found["quoted"] and not found["closed"]:
                # A value that swallows most of the sample is doubtful, and one that never ends is wrong.
                return at if at_end else len(text) if at > len(text) // 2 else len(text) // 2
            at = found.end()
        return len(text)


@lru_cache(maxsize=64)
def _dialect(delimiter: str, quote: str, apostrophe: bool) -> _Dialect:
    """A compiled dialect; few exist, and ten thousand small files share them."""
    mark = quote.encode()
    return _Dialect(delimiter.encode(), mark, b"'" if apostrophe else mark * 2)


def _check_run(held: bytes, max_run: int) -> None:
    if len(held) > max_run:
        raise MalformedFile(
            f"more than {max_run} backslashes follow each other", hint="The file is damaged; send it again."
        )
