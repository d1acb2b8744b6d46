"""Walking through JSON text value by value, never holding more of it than one value needs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn

from amci.kernel.errors import MalformedFile
from amci.lake.formats.text import BadText

_SPACE = re.compile(r"[ \t\n\r]*")
_TAIL = 16  # characters; the longest token that says something wrong when it is cut off is shorter
_CUT = "The file ends early; send the whole file again."


class Number(str):
    """A JSON number as it was written, so that no digit is lost."""

    __slots__ = ()


def _refused(name: str) -> NoReturn:
    raise ValueError(name)


_decode = json.JSONDecoder(parse_float=Number, parse_int=Number, parse_constant=_refused).raw_decode
#: NaN and Infinity, which Python and pandas write by default, are null.
_decode_leniently = json.JSONDecoder(
    parse_float=Number, parse_int=Number, parse_constant=lambda _: None
).raw_decode


class Cursor:
    """A place in JSON text that arrives in chunks. Values longer than `limit` characters are refused."""

    def __init__(self, chunks: Iterator[str], *, limit: int, not_finite: bool = False) -> None:
        """With `not_finite`, NaN and Infinity are taken for null; else they are refused."""
        self._chunks = chunks
        self._decode = _decode_leniently if not_finite else _decode
        self._limit = limit
        self._text = ""
        self._at = 0
        self._ended = False
        self._line = 1
        self._counted = 0

    @property
    def line(self) -> int:
        """The physical line of this place, from 1."""
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._line

    def peek(self) -> str:
        """The next character that is not space, without taking it; empty at the end."""
        while True:
            self._at = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr]
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def take(self, expected: str) -> str:
        """Take the next character that is not space; it must be one of those expected."""
        found = self.peek()
        if not found or found not in expected:
            self.refuse(
                "it is not valid JSON" if found else "the JSON ends early", hint="" if found else _CUT
            )
        self._at += 1
        return found

    def value(self) -> tuple[Any, int]:
        """Take the next value, and say how many characters it has.

        Objects, lists, strings, booleans and None are Python's; numbers are `Number`.
        """
        self.peek()
        while True:
            found = self._decoded()
            if found and (found[1] < len(self._text) or self._ended or not isinstance(found[0], Number)):
                value, end = found
                size = end - self._at
                if size > self._limit:
                    self._refuse_long()
                self._at = end
                return value, size
            if len(self._text) - self._at > self._limit:
                self._refuse_long()
            was_ended = self._ended
            if not self._more() and was_ended:
                self.refuse("the JSON ends early", hint=_CUT)

    def _decoded(self) -> tuple[Any, int] | None:
        """The value here and where it ends; None if it may only be cut off."""
        try:
            found: tuple[Any, int] = self._decode(self._text, self._at)
        except json.JSONDecodeError as error:
            left = len(self._text) - error.pos
            if left <= (0 if self._ended else _TAIL) or error.msg.startswith("Unterminated string"):
                return None
            self.refuse("it is not valid JSON", at=error.pos)
        except ValueError:
            self.refuse(
                "NaN and Infinity are not JSON", hint="Write null, or set `json: {nan: null}` in the dataset."
            )
        except RecursionError:
            self.refuse("it is nested too deeply")
        return found

    def refuse(self, message: str, *, hint: str = "", at: int | None = None) -> NoReturn:
        """Raise MalformedFile for what stands here, or at another place in sight."""
        line = self.line + (self._text.count("\n", self._at, at) if at else 0)
        raise MalformedFile(message, line=line, hint=hint or "Check the file where it was made.")

    def _refuse_long(self) -> NoReturn:
        self.refuse(
            f"the row is longer than {self._limit} characters",
            hint="If the file is sound, raise max_line_bytes.",
        )

    def _more(self) -> bool:
        """Let go of what was taken and get as much text again as is held; False if there is none."""
        line = self.line
        self._text, self._at, self._counted, self._line = self._text[self._at :], 0, 0, line
        parts, wanted = [self._text], max(1, len(self._text))
        try:
            while wanted > 0 and (chunk := next(self._chunks, None)) is not None:
                parts.append(chunk)
                wanted -= len(chunk)
        except BadText as fault:
            self._text = "".join(parts)
            raise MalformedFile(str(fault), line=line + self._text.count("\n"), hint=fault.hint) from None
        self._ended = wanted > 0
        self._text = "".join(parts)
        return len(parts) > 1
