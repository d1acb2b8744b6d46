"""Java's regular expressions in the words of RE2, which DuckDB has, and of the `regex` package (amc-api 3.2)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import regex

from amci.amcsql.patterns.java_classes import (
    BREAK,
    ESCAPED_CLASSES,
    InvalidPattern,
    character,
    literal,
    named_class,
)


def character_class(pattern: str, at: int) -> tuple[str, str | None, int]:
    """A [class] in both ways, and its length; raises InvalidPattern."""
    reader = _Class(pattern, at)
    reader.read()
    re2 = "".join(reader.re2) if reader.is_plain else None
    return "".join(reader.python), re2, reader.at - at


@dataclass(slots=True)
class _Writer:
    """Reads a pattern from a place on, and writes it for both engines."""

    pattern: str
    at: int = 0
    python: list[str] = field(default_factory=list)
    re2: list[str] = field(default_factory=list)
    is_plain: bool = True  #: RE2 can express it

    def _say(self, python: str, re2: str | None, length: int) -> None:
        self.python.append(python)
        self.is_plain &= re2 is not None
        self.re2.append(re2 or "")
        self.at += length


class _Class(_Writer):
    """Reads what stands between [ and ]."""

    __slots__ = ()

    def read(self) -> None:
        start = self.at
        opening = "[^" if self.pattern.startswith("[^", self.at) else "["
        self._say(opening, opening, len(opening))
        first = self.at
        while self.at < len(self.pattern):
            char = self.pattern[self.at]
            if char == "]" and self.at > first:
                self._say("]", "]", 1)
                return
            self._one(char)
        raise InvalidPattern(
            f"'{self.pattern}' is not a regular expression: the [ at character {start + 1} is not closed"
        )

    def _one(self, char: str) -> None:
        if char == "[":
            inner = _Class(self.pattern, self.at)
            inner.read()
            self._say("".join(inner.python), None, inner.at - self.at)
        elif self.pattern.startswith("&&", self.at):
            self._say("&&", None, 2)
        elif char == "\\":
            self._escape()
        elif char == "-":
            is_range = (
                self.python[-1] not in ("[", "[^", "&&")
                and self.pattern[self.at + 1 : self.at + 2] not in "]["
            )
            self._say("-" if is_range else r"\-", "-" if is_range else r"\-", 1)
        else:
            self._say(literal(char), literal(char), 1)

    def _escape(self) -> None:
        char = self.pattern[self.at + 1 : self.at + 2]
        if char in ESCAPED_CLASSES and char:
            python, re2 = ESCAPED_CLASSES[char]
            inner = re2[1:-1] if re2 and re2.startswith("[") and not re2.startswith("[^") else None
            self._say(python, re2 if re2 in (r"\D", r"\W") else inner, 2)
        elif char in ("p", "P"):
            python, length = named_class(self.pattern, self.at)
            self._say(python, None, length)
        else:
            said, length = character(self.pattern, self.at)
            self._say(literal(said), literal(said), length)


__all__ = ["InvalidPattern", "JavaPattern", "compiled", "java_pattern"]

_QUANTIFIER = re.compile(r"\{\d{1,9}(?:,\d{0,9})?\}")
_FLAGS = re.compile(r"\(\?([imsxudU]*)(-[imsxudU]+)?([:)])")
_GROUP_NAME = re.compile(r"<([A-Za-z][A-Za-z0-9]*)>")
#: RE2 repeats no more than this.
_RE2_REPEATS = 1000
_END = rf"(?=(?:\r\n|{BREAK})?\Z)"
_END_OF_LINE = rf"(?=\r\n|{BREAK}|\Z)"
_START_OF_LINE = r"(?:\A|(?<=\r\n|[\n\x85\u2028\u2029]|\r(?!\n))(?!\Z))"
_RE2_END = r"(?:\r\n|[\n\r\x{85}\x{2028}\x{2029}])?\z"


@dataclass(frozen=True, slots=True)
class JavaPattern:
    """A pattern for each of the two engines."""

    python: str  #: for `regex`, version 1
    re2: str | None  #: for DuckDB's own functions; None if RE2 cannot express it
    is_exact: bool  #: whether RE2 also finds the same part of the text, and not only whether there is one
    groups: int
    names: Mapping[str, int]  #: of groups that have one


@lru_cache(maxsize=1024)
def java_pattern(pattern: str) -> JavaPattern:
    """A pattern of Java's; raises InvalidPattern."""
    reader = _PatternReader(pattern)
    reader.read()
    python = "".join(reader.python)
    found = compiled(python, pattern)
    is_empty = found.search("") is not None
    re2 = "".join(reader.re2) if reader.is_plain else None
    return JavaPattern(
        python=python,
        re2=re2,
        is_exact=reader.is_exact and not is_empty,
        groups=found.groups,
        names=dict(found.groupindex),
    )


@lru_cache(maxsize=1024)
def compiled(python: str, pattern: str = "") -> regex.Pattern[str]:
    """What `regex` makes of its form of a pattern; raises InvalidPattern."""
    try:
        return regex.compile(python, regex.V1)
    except (regex.error, OverflowError, RecursionError) as error:
        said = str(error).partition(" at position")[0]
        raise InvalidPattern(f"'{pattern}' is not a regular expression: {said}") from error


@dataclass(slots=True)
class _PatternReader(_Writer):
    """Reads a whole pattern."""

    is_exact: bool = True
    flags: frozenset[str] = frozenset()
    around: list[frozenset[str]] = field(default_factory=list)

    def read(self) -> None:
        while self.at < len(self.pattern):
            self._one()
        if self.around:
            raise self._fault("a parenthesis is not closed")

    def _one(self) -> None:
        char = self.pattern[self.at]
        if char == "\\":
            self._escape()
        elif char == "[":
            self._class()
        elif char == "(":
            self._open()
        elif char == ")":
            self._close()
        elif char in ".^$":
            self._symbol(char)
        elif char in "*+?{":
            self._repeat(char)
        elif char == "|":
            self._both("|")
        elif "x" in self.flags and (char.isspace() or char == "#"):
            self._skip()
        else:
            self._both(literal(char))

    def _both(self, text: str, length: int = 1) -> None:
        self._say(text, text, length)

    def _skip(self) -> None:
        if self.pattern[self.at] == "#":
            end = self.pattern.find("\n", self.at)
            self.at = len(self.pattern) if end < 0 else end
        self.at += 1

    def _symbol(self, char: str) -> None:
        if char == ".":
            plain = None if "s" in self.flags else r"[^\n\r\x{85}\x{2028}\x{2029}]"
            self._say("(?s:.)" if "s" in self.flags else r"[^\n\r\x85\u2028\u2029]", plain, 1)
        elif "m" in self.flags:
            self._say(_START_OF_LINE if char == "^" else _END_OF_LINE, None, 1)
        elif char == "^":
            self._say(r"\A", "^", 1)
        else:
            is_last = self.pattern[self.at + 1 : self.at + 2] in ("", "|", ")")
            self.is_exact = False
            self._say(_END, _RE2_END if is_last else None, 1)

    def _repeat(self, char: str) -> None:
        text = char
        if char == "{":
            found = _QUANTIFIER.match(self.pattern, self.at)
            if not found:
                raise self._fault("'{' has to be followed by a number; write \\{ for the character")
            text = found[0]
        follower = self.pattern[self.at + len(text) : self.at + len(text) + 1]
        whole = text + (follower if follower and follower in "?+" else "")
        is_small = all(int(number) <= _RE2_REPEATS for number in re.findall(r"\d+", text))
        self._say(whole, whole if follower != "+" and is_small else None, len(whole))

    def _open(self) -> None:
        rest = self.pattern[self.at : self.at + 4]
        if found := _FLAGS.match(self.pattern, self.at):
            self._flagged(found)
        elif rest.startswith("(?:"):
            self._group("(?:", "(?:", 3)
        elif rest.startswith(("(?=", "(?!", "(?>")):
            self._group(rest[:3], None, 3)
        elif rest.startswith(("(?<=", "(?<!")):
            self._group(rest, None, 4)
        elif rest.startswith("(?<") and (found := _GROUP_NAME.match(self.pattern, self.at + 2)):
            self._group(f"(?P<{found[1]}>", f"(?P<{found[1]}>", len(found[0]) + 2)
        elif rest.startswith("(?"):
            raise self._fault(f"'{rest[:3]}' begins no group that Java knows")
        else:
            self._group("(", "(", 1)

    def _group(self, python: str, re2: str | None, length: int) -> None:
        self.around.append(self.flags)
        self._say(python, re2, length)

    def _flagged(self, found: re.Match[str]) -> None:
        added, removed, end = found[1], (found[2] or "")[1:], found[3]
        before = self.flags
        self.flags = (self.flags | set(added)) - set(removed)
        on, off = added if "i" in added else "", removed if "i" in removed else ""
        said = ("i" if on else "") + ("-i" if off else "")
        is_plain = not (set(added + removed) - {"i"})
        text = f"(?{said}{end}" if said or end == ":" else ""
        if end == ":":
            self.around.append(before)
        self._say(text, text if is_plain else None, len(found[0]))

    def _close(self) -> None:
        if not self.around:
            raise self._fault("there is a ) without a (")
        self.flags = self.around.pop()
        self._both(")")

    def _escape(self) -> None:
        char = self.pattern[self.at + 1 : self.at + 2]
        if not char:
            raise self._fault("it ends with a \\")
        if char == "Q":
            end = self.pattern.find("\\E", self.at)
            text = self.pattern[self.at + 2 : end if end >= 0 else None]
            self._both("".join(map(literal, text)), len(text) + (4 if end >= 0 else 2))
        elif char in ESCAPED_CLASSES:
            python, re2 = ESCAPED_CLASSES[char]
            self._say(python, re2, 2)
        elif char in "pP":
            python, length = named_class(self.pattern, self.at)
            self._say(python, None, length)
        elif char in "123456789":
            self._say(f"\\{char}", None, 2)
        elif char == "k" and (found := _GROUP_NAME.match(self.pattern, self.at + 2)):
            self._say(f"(?P={found[1]})", None, 2 + len(found[0]))
        elif char == "A":
            self._both(r"\A", 2)
        elif char in "bBzZGRX":
            # To RE2, only ASCII letters and digits make a word; to Java before 19, as to `regex`, those of all scripts.
            self._say({"z": r"\Z", "Z": _END}.get(char, f"\\{char}"), None, 2)
        else:
            said, length = character(self.pattern, self.at)
            self._both(literal(said), length)

    def _class(self) -> None:
        python, re2, length = character_class(self.pattern, self.at)
        self._say(python, re2, length)

    def _fault(self, why: str) -> InvalidPattern:
        return InvalidPattern(f"'{self.pattern}' is not a regular expression: {why}")
