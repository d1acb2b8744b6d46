"""Refuses CSV in which text follows a closing quote: the parser would take it for a part of the value, and go on."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING

from amci.lake.formats.shape import Shape

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Texts of so many bytes are looked through by numpy, which takes a while to be imported.
_LONG = 256 << 10


class StrayText(Exception):
    """Between a closing quote and the next delimiter or line end, there is text."""


class RunTooLong(Exception):
    """So many quotes follow each other that no value can be in between."""


def strictly_quoted(
    chunks: Iterator[bytes], shape: Shape, *, max_run: int, long: int = _LONG
) -> Iterator[bytes]:
    r"""The text as it is, if only a delimiter or a line end follows each closing quote.

    A quote opens a value only where the value begins, so `24" screen` is a bare value with a quote in it. Without this,
    `a,"Best" Mug` would be read as `Best Mug`, and two titles that begin with a quote as one record.
    What is found does not depend on how many bytes are `long`.
    Raises StrayText, and RunTooLong if more than `max_run` quotes follow each other.
    """
    walk = _Walk(shape, long)
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

    def __init__(self, shape: Shape, long: int) -> None:
        self._quote = shape.quote
        self._long = long
        self._edges = shape.delimiter + b"\r\n"
        self._is_open = False
        self._last = b"\n"  #: byte before the piece

    def over(self, text: bytes) -> None:
        """Look at the next piece; quotes that end it are the last of the whole text."""
        if self._quote in text and not (len(text) >= self._long and self._are_paired_in(text)):
            parts = text.split(self._quote)
            if self._are_paired(parts):
                self._is_open ^= len(parts) % 2 == 0
            else:
                self._step(parts)
        self._last = text[-1:]

    def _are_paired_in(self, text: bytes) -> bool:
        """Whether quotes open and close by turns, as in `_are_paired`; then it has gone over them."""
        import numpy as np

        held = np.frombuffer(text, np.uint8)
        quotes = np.flatnonzero(held == self._quote[0])
        begins = int(self._is_open)
        before, after = quotes[begins::2] - 1, quotes[1 - begins :: 2] + 1
        if before.size and before[0] < 0:
            if self._last[0] not in self._edges:
                return False
            before = before[1:]
        if after.size and after[-1] == held.size:
            after = after[:-1]
        if not (self._are_edges(held[before]) and self._are_edges(held[after])):
            return False
        self._is_open ^= bool(quotes.size % 2)
        return True

    def _are_edges(self, found: NDArray[np.uint8]) -> bool:
        """Whether what stands before an opening or behind a closing quote may stand there: an edge, another quote."""
        rest = found
        for byte in self._edges + self._quote:
            rest = rest[rest != byte]
        return not rest.size

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
