"""Refuses CSV in which text follows a closing quote: the parser would take it for a part of the value, and go on."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from amci.lake.formats.shape import Shape


class StrayText(Exception):
    """Between a closing quote and the next delimiter or line end, there is text."""


class RunTooLong(Exception):
    """So many quotes follow each other that no value can be in between."""


def strictly_quoted(chunks: Iterator[bytes], shape: Shape, *, max_run: int) -> Iterator[bytes]:
    r"""The text as it is, if only a delimiter or a line end follows each closing quote.

    A quote opens a value only where the value begins, so `24" screen` is a bare value with a quote in it. Without this,
    `a,"Best" Mug` would be read as `Best Mug`, and two titles that begin with a quote as one record.
    Raises StrayText, and RunTooLong if more than `max_run` quotes follow each other.
    """
    walk = _Walk(shape)
    held = b""
    for chunk in chain(chunks, (None,)):
        text = held + chunk if chunk is not None else held
        # What a quote is depends on what follows it.
        whole = text.rstrip(shape.quote) if chunk is not None else text
        held = text[len(whole) :]
        if len(held) > max_run:
            raise RunTooLong
        if whole:
            walk.over(whole)
            yield whole


class _Walk:
    """Goes from quote to quote of a text that comes in pieces."""

    def __init__(self, shape: Shape) -> None:
        self._quote = shape.quote
        self._edges = shape.delimiter + b"\r\n"
        self._is_open = False
        self._last = b"\n"  #: byte before the piece

    def over(self, text: bytes) -> None:
        """Look at the next piece; quotes that end it are the last of the whole text."""
        if self._quote in text:
            parts = text.split(self._quote)
            if self._are_paired(parts):
                self._is_open ^= len(parts) % 2 == 0
            else:
                self._step(parts)
        self._last = text[-1:]

    def _are_paired(self, parts: list[bytes]) -> bool:
        """Whether quotes open and close by turns, each beside an edge or another quote: so are those of most files.

        What lies between values is nearly always the same few bytes, so this costs a third of parsing at most.
        """
        begins, ends = self._is_open, self._is_open ^ (len(parts) % 2 == 0)
        if not begins and (parts[0] or self._last)[-1] not in self._edges:
            return False
        if not ends and parts[-1] and parts[-1][0] not in self._edges:
            return False
        between = set(parts[1 if begins else 2 : -1 : 2])
        return all(not part or (part[0] in self._edges and part[-1] in self._edges) for part in between)

    def _step(self, parts: list[bytes]) -> None:
        """The same, one quote at a time, with quotes that stand inside bare values. Raises StrayText."""
        at, last = 1, len(parts) - 1
        while at <= last:
            before, after = parts[at - 1], parts[at]
            if not self._is_open:
                # With nothing before it, this quote follows another one, which was text.
                byte = before[-1:] if before else self._last if at == 1 else self._quote
                self._is_open = byte in self._edges
            elif not after and at < last:
                at += 1  # doubled: it stands for one
            elif after and after[0] not in self._edges:
                raise StrayText
            else:
                self._is_open = False
            at += 1
