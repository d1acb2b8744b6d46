"""A [set of characters] of Java's regular expressions, for the `regex` package and for RE2."""

from __future__ import annotations

from dataclasses import dataclass, field

from amci.amcsql.patterns.java_classes import ESCAPED_CLASSES, InvalidPattern, character, literal, named_class


def character_class(pattern: str, at: int) -> tuple[str, str | None, int]:
    """A [class] in both ways, and its length; raises InvalidPattern."""
    reader = _Class(pattern, at)
    reader.read()
    re2 = "".join(reader.re2) if reader.is_plain else None
    return "".join(reader.python), re2, reader.at - at


@dataclass(slots=True)
class _Class:
    """Reads what stands between [ and ]."""

    pattern: str
    at: int
    python: list[str] = field(default_factory=list)
    re2: list[str] = field(default_factory=list)
    is_plain: bool = True

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

    def _say(self, python: str, re2: str | None, length: int) -> None:
        self.python.append(python)
        self.is_plain &= re2 is not None
        self.re2.append(re2 or "")
        self.at += length
