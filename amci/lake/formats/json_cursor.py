"""Walking through JSON text value by value, never holding more of it than one value needs."""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from amci.kernel.errors import MalformedFile
from amci.lake.formats.text import BadText

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SPACE = re.compile(r"[ \t\n\r]*")
_QUOTE, _COLON, _BACKSLASH, _SPACE_CODE = map(ord, '":\\ ')
_TAIL = 16  # characters; the longest token that says something wrong when it is cut off is shorter
_CUT = "The file ends early; send the whole file again."


class Number(str):
    """A JSON number as it was written, so that no digit is lost."""

    __slots__ = ()


#: Letters in NaN and Infinity, and in no other value but strings.
_NOT_FINITE = frozenset("NI")


class _RepeatedKey(ValueError):
    """An object has a key twice."""


def _refused(name: str) -> NoReturn:
    raise ValueError(name)


def _object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _RepeatedKey
    return found


class JsonDecoder:
    """Python's decoder, which leaves numbers as they were written."""

    def __init__(self, *, not_finite: bool, may_repeat: bool) -> None:
        """With `not_finite`, NaN and Infinity, which Python and pandas write by default, are null; else refused.

        With `may_repeat`, the last value of a key counts that an object has twice; else `whole` refuses it.
        """
        self.not_finite, self.may_repeat = not_finite, may_repeat
        constant = (lambda _: None) if not_finite else _refused
        self._decode = json.JSONDecoder(
            parse_float=Number, parse_int=Number, parse_constant=constant
        ).raw_decode
        self._decode_roughly = json.JSONDecoder(parse_constant=constant).raw_decode
        self._decode_strictly = json.JSONDecoder(
            object_pairs_hook=_object_of, parse_float=Number, parse_int=Number, parse_constant=constant
        ).raw_decode

    def may_change(self, text: str) -> bool:
        """Whether a value may be another than the one that is written."""
        return (self.not_finite and not _NOT_FINITE.isdisjoint(text)) or (self.may_repeat and "{" in text)

    def at(self, text: str, at: int) -> tuple[Any, int]:
        """The value that begins there, and where it ends; of a key that comes twice, the last value counts."""
        return self._decode(text, at)

    def has_repeated_key(self, text: str, at: int) -> bool:
        """Whether an object that begins there, or one inside it, has a key twice."""
        try:
            self._decode_strictly(text, at)
        except _RepeatedKey:
            return True
        return False

    def sound(self, text: str) -> Any:
        """The value that the text is, with numbers that may have lost digits; quicker than `whole`.

        Raises ValueError if it is none. If a key comes twice, its last value counts.
        """
        value, end = self._decode_roughly(text)
        if end < len(text):
            raise ValueError(text[end])
        return value

    def whole(self, text: str) -> Any:
        """The value that the text is, and nothing else. Raises ValueError if it is none, and for a key twice."""
        decode = self._decode if self.may_repeat or "{" not in text else self._decode_strictly
        value, end = decode(text, 0)
        if end < len(text):
            raise ValueError(text[end])
        return value


#: What shows that keys may end otherwise than in `":`, or that this may be inside a string. Texts below this length are
#: searched for it, longer ones looked through by numpy, which takes a while to begin.
_NOT_SIMPLE = ('\\":', " :", "\t:", "\n:", "\r:")
_SHORT = 64 << 10


@dataclass(frozen=True, slots=True)
class _KeyEnds:
    """Where the colons stand in a text that end a key.

    Only a key has a quote and a colon after it; a quote inside a string has a backslash before it.
    """

    text: str
    places: list[int] | None  #: None if there is nothing but `":` in the text, which is quicker counted
    is_unsure: bool = False  #: whether there may be others

    @classmethod
    def of(cls, text: str) -> _KeyEnds:
        if len(text) < _SHORT and not any(each in text for each in _NOT_SIMPLE):
            return cls(text, None)
        import numpy as np

        codes: NDArray[np.uint8] | NDArray[np.uint32] = (
            np.frombuffer(text.encode("ascii"), np.uint8)
            if text.isascii()
            else np.frombuffer(text.encode("utf-32-le"), np.uint32)
        )
        last = codes[1:-1]
        is_other = ((last == _QUOTE) & (codes[:-2] == _BACKSLASH)) | (
            (last <= _SPACE_CODE) & (codes[:-2] <= _QUOTE)
        )
        if not (is_other & (codes[2:] == _COLON)).any():
            return cls(text, None)
        at = np.flatnonzero(codes[2:] == _COLON) + 2
        is_spaced = codes[at - 1] <= _SPACE_CODE
        quote = at - 1 - is_spaced
        is_key = codes[quote] == _QUOTE
        is_escaped = is_key & (codes[quote - 1] == _BACKSLASH)
        is_unsure = (codes[quote] <= _SPACE_CODE).any() or (codes[quote[is_escaped] - 2] == _BACKSLASH).any()
        return cls(text, at[is_key & ~is_escaped].tolist(), bool(is_unsure))

    def count(self, begin: int, end: int) -> int:
        """How many keys end in a part of the text."""
        if self.places is None:
            return self.text.count('":', begin, end)
        first = bisect_left(self.places, begin)
        return bisect_left(self.places, end, first) - first


def _keys(value: dict[str, Any]) -> int:
    """How many keys there are in an object, those of objects inside it counted."""
    count = len(value)
    for each in value.values():
        kind = type(each)
        if kind is dict:
            count += _keys(each)
        elif kind is list:
            count += keys_in_list(each)
    return count


def keys_in_list(value: list[Any]) -> int:
    """How many keys there are in the objects of a list, and of lists in it."""
    count = 0
    for each in value:
        kind = type(each)
        if kind is dict:
            count += _keys(each)
        elif kind is list:
            count += keys_in_list(each)
    return count


class Cursor:
    """A place in JSON text that arrives in chunks. Values longer than `limit` characters are refused."""

    def __init__(
        self,
        chunks: Iterator[str],
        *,
        limit: int,
        decoder: JsonDecoder,
    ) -> None:
        self._chunks = chunks
        self._decoder = decoder
        self._limit = limit
        self._text = ""
        #: of a part of the text, and which part that is
        self._key_ends, self._key_ends_from, self._key_ends_to = _KeyEnds("", None), 0, 0
        self._at = 0
        self._ended = False
        self._line = 1
        self._counted = 0
        self._before = 0

    @property
    def line(self) -> int:
        """The physical line of this place, from 1."""
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._line

    @property
    def place(self) -> int:
        """How many characters stand before it."""
        return self._before + self._at

    def ahead(self, size: int) -> str:
        """The text that is held already, from here on; `size` characters at most."""
        return self._text[self._at : self._at + size]

    def skip(self, size: int, lines: int) -> None:
        """Take so many characters of the text that is held, with so many line breaks in them."""
        self._line = self.line + lines
        self._at = self._counted = self._at + size

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
                if (
                    type(value) is dict
                    and not self._decoder.may_repeat
                    and self._has_repeated_key(value, end)
                ):
                    self.refuse(
                        "an object has a key twice",
                        hint="Leave one out, or say `json: {repeated_key: last}` in the dataset.",
                    )
                self._at = end
                return value, size
            if len(self._text) - self._at > self._limit:
                self._refuse_long()
            was_ended = self._ended
            if not self._more() and was_ended:
                self.refuse("the JSON ends early", hint=_CUT)

    def _has_repeated_key(self, row: dict[str, Any], end: int) -> bool:
        """Whether an object that ends there, or one inside it, has a key twice, of which the decoder keeps the last.

        To let the decoder look takes half as long again, so it is asked only if the text seems to have more keys.
        """
        if not self._key_ends_from <= self._at <= end <= self._key_ends_to:
            # Most rows are read at once, and do not come by here.
            self._key_ends_from, self._key_ends_to = self._at, max(end, self._at + _SHORT - 1)
            self._key_ends = _KeyEnds.of(self._text[self._key_ends_from : self._key_ends_to])
        if not self._key_ends.is_unsure:
            begin = self._key_ends_from
            written = self._key_ends.count(self._at - begin, end - begin)
            if written == len(row) or written == _keys(row):
                return False
        return self._decoder.has_repeated_key(self._text, self._at)

    def _decoded(self) -> tuple[Any, int] | None:
        """The value here and where it ends; None if it may only be cut off."""
        try:
            found = self._decoder.at(self._text, self._at)
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
        self._before += self._at
        self._key_ends_from = self._key_ends_to = 0
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
