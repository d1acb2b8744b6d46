"""From bytes in some encoding to text, strictly: what cannot be read is refused, nothing is replaced."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from itertools import chain

from amci.kernel.errors import MalformedFile
from amci.lake.formats.encoding import SAMPLE_BYTES, WINDOWS_1252, candidates, judged
from amci.lake.formats.source import at_least

_NOT_ASCII = re.compile(rb"[\x80-\xff]")
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_LONGEST = 4  # bytes of a UTF-8 character


class BadText(MalformedFile):
    """The file holds bytes that are not text; raised after all the text before them was handed on."""


def utf8(chunks: Iterator[bytes], encoding: str, guessed: dict[str, str] | None = None) -> Iterator[bytes]:
    """The text as UTF-8 without a byte order mark.

    What is UTF-8 already goes through unchecked, because the CSV parser checks it. `auto` goes by the byte
    order mark, and without one by the first character that is not ASCII: if it is not UTF-8, the text after it
    is judged by what comes out (see `encoding`), and the answer goes into `guessed`. So the answer depends on the
    text alone, and nothing before it needs a second look. A later byte that does not fit is a fault: other text was
    read as UTF-8 before it.
    Raises BadText for a NUL, for bytes that are not in the encoding, and if the encoding is doubtful.
    """
    encoding, chunks = _marked(chunks, encoding)
    if encoding == "auto":
        chunks = _guessed(chunks, {} if guessed is None else guessed)
    elif encoding != "utf-8":
        chunks = (text.encode() for text in _strict(chunks, encoding))
    return _without_nul(chunks)


def decoded(chunks: Iterator[bytes], encoding: str) -> Iterator[str]:
    """The text itself, every byte checked; `auto` is UTF-8 or what the byte order mark says.

    Raises BadText for bytes that are not in the encoding.
    """
    encoding, chunks = _marked(chunks, encoding)
    return _strict(chunks, "utf-8" if encoding == "auto" else encoding)


def checked(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """UTF-8 whose every byte is looked at; raises BadText."""
    return (text.encode() for text in _strict(chunks, "utf-8"))


def _marked(chunks: Iterator[bytes], encoding: str) -> tuple[str, Iterator[bytes]]:
    """The encoding, and the chunks without the byte order mark of UTF-8.

    A mark is certain, whatever encoding was named: no other text begins with its bytes.
    """
    known = encoding if encoding == "auto" else codecs.lookup(encoding).name
    if known.startswith("utf-32"):  # whose mark begins with that of UTF-16
        return known, chunks
    head = at_least(chunks, len(codecs.BOM_UTF8))
    if head.startswith(codecs.BOM_UTF8):
        known, head = "utf-8", head[len(codecs.BOM_UTF8) :]
    elif head.startswith(_UTF16):
        known = "utf-16"
    elif known == "utf-8-sig":
        known = "utf-8"
    return known, chain((head,), chunks)


def _guessed(chunks: Iterator[bytes], guessed: dict[str, str]) -> Iterator[bytes]:
    for chunk in chunks:
        found = None if chunk.isascii() else _NOT_ASCII.search(chunk)
        if not found:
            yield chunk
            continue
        text = at_least(chunks, found.start() + _LONGEST, chunk)
        if _starts_with_utf8(text[found.start() : found.start() + _LONGEST]):
            yield from chain((text,), chunks)
            return
        text = at_least(chunks, found.start() + SAMPLE_BYTES, text)
        sample = text[found.start() : found.start() + SAMPLE_BYTES]
        encoding, rest = judged(sample), chain((text,), chunks)
        if encoding is None:
            yield text[: found.start()]
            raise BadText(
                "the encoding of the text is not known",
                hint=f"Name it in the dataset as `csv: {{encoding: …}}`; try {', '.join(candidates(sample))}.",
            )
        guessed["encoding"] = encoding
        if encoding == "windows-1252":
            for piece in rest:
                yield codecs.charmap_decode(piece, "strict", WINDOWS_1252)[0].encode()
        else:
            yield from (piece.encode() for piece in _strict(rest, encoding))


def _starts_with_utf8(sample: bytes) -> bool:
    try:
        return bool(codecs.utf_8_decode(sample, "strict", False)[0])
    except UnicodeDecodeError as error:
        return error.start > 0


def _strict(chunks: Iterator[bytes], encoding: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding)()
    first = True
    for chunk in chain(chunks, (None,)):
        state = decoder.getstate()
        try:
            text = decoder.decode(chunk or b"", final=chunk is None)
        except UnicodeError:
            decoder.setstate(state)
            yield from _until_bad(decoder, chunk or b"")
            raise BadText(
                f"the text is not {encoding}",
                hint="Name the file's own encoding in the dataset, or send it again.",
            ) from None
        if first and text:
            first, text = False, text.removeprefix("\ufeff")
        if text:
            yield text


def _until_bad(decoder: codecs.IncrementalDecoder, chunk: bytes) -> Iterator[str]:
    try:
        for at in range(len(chunk)):
            yield decoder.decode(chunk[at : at + 1])
    except UnicodeError:
        return


def _without_nul(chunks: Iterator[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        if b"\0" in chunk:
            yield chunk[: chunk.index(b"\0")]
            raise BadText(
                "there is a NUL byte",
                hint="Name the encoding if it is UTF-16 or UTF-32; else the file is damaged.",
            )
        yield chunk
