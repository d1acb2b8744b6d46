"""Characters and classes of characters as Java's regular expressions name them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from amci.kernel.errors import AmciError


class InvalidPattern(AmciError):
    """A text that is not a Java regular expression."""


#: What ends a line.
BREAK = r"[\n\r\x85\u2028\u2029]"
_BLANK = r" \t\xA0\u1680\u180e\u2000-\u200a\u202f\u205f\u3000"
_VERTICAL = r"\n\x0B\f\r\x85\u2028\u2029"
_SPACE = r" \t\n\x0B\f\r"

#: After a backslash: for the `regex` package, and for RE2 (None if it has no such class).
ESCAPED_CLASSES: Mapping[str, tuple[str, str | None]] = {
    "d": ("[0-9]", "[0-9]"),
    "D": ("[^0-9]", r"\D"),
    "w": ("[A-Za-z0-9_]", "[A-Za-z0-9_]"),
    "W": ("[^A-Za-z0-9_]", r"\W"),
    "s": (f"[{_SPACE}]", f"[{_SPACE}]"),
    "S": (f"[^{_SPACE}]", f"[^{_SPACE}]"),
    "h": (f"[{_BLANK}]", None),
    "H": (f"[^{_BLANK}]", None),
    "v": (f"[{_VERTICAL}]", None),
    "V": (f"[^{_VERTICAL}]", None),
}

#: POSIX names are of ASCII in Java.
_POSIX = {
    "Lower": "a-z",
    "Upper": "A-Z",
    "ASCII": r"\x00-\x7F",
    "Alpha": "A-Za-z",
    "Digit": "0-9",
    "Alnum": "A-Za-z0-9",
    "Punct": r"!-/:-@\[-`{-~",
    "Graph": "!-~",
    "Print": r" -~",
    "Blank": r" \t",
    "Cntrl": r"\x00-\x1F\x7F",
    "XDigit": "0-9A-Fa-f",
    "Space": _SPACE,
}
_NAMED = re.compile(r"\\([pP])(?:\{(\^?)([A-Za-z0-9_=]+)\}|([A-Z]))")
_PLAIN = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "a": "\a", "e": "\x1b"}
_CODE = re.compile(
    r"\\(?:x\{([0-9A-Fa-f]{1,6})\}|x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|0([0-3]?[0-7]{1,2})|c([@-_]))"
)
_ASCII = 128


def literal(char: str) -> str:
    """A character that stands for itself, in both ways."""
    if char.isalnum() or char == "_" or ord(char) >= _ASCII:
        return char
    if char in "\n\r\t\f\v\a" or ord(char) < ord(" ") or char == "\x7f":
        return f"\\x{ord(char):02X}"
    return char if char in " \"'<>,;:=@%!/`" else f"\\{char}"


def character(pattern: str, at: int) -> tuple[str, int]:
    """The character that an escape stands for, and the length of the escape; raises InvalidPattern."""
    char = pattern[at + 1 : at + 2]
    if char in _PLAIN:
        return _PLAIN[char], 2
    if found := _CODE.match(pattern, at):
        return _coded(found), len(found[0])
    if not char or (char.isalnum() and char.isascii()):
        raise InvalidPattern(f"'{pattern}' is not a regular expression: Java has no {pattern[at : at + 2]}")
    return char, 2


def named_class(pattern: str, at: int) -> tuple[str, int]:
    r"""A \p{…} for the `regex` package, and its length in the pattern."""
    found = _NAMED.match(pattern, at)
    if not found:
        return r"\p{}", 2
    name = found[3] or found[4]
    is_not = (found[1] == "P") != bool(found[2])
    if name in _POSIX:
        return f"[{'^' if is_not else ''}{_POSIX[name]}]", len(found[0])
    plain = re.sub(r"^(?:java|script=|sc=|block=|blk=|general_category=|gc=)", "", name)
    return f"\\{'P' if is_not else 'p'}{{{_JAVA.get(plain, plain)}}}", len(found[0])


#: Names that only Java has.
_JAVA = {
    "LowerCase": "Lowercase",
    "UpperCase": "Uppercase",
    "Letter": "L",
    "LetterOrDigit": "Alnum",
    "IsDigit": "Nd",
}


def _coded(found: re.Match[str]) -> str:
    if found[5]:
        return chr(ord(found[5]) ^ 64)
    if found[4]:
        return chr(int(found[4], 8))
    return chr(int(found[1] or found[2] or found[3], 16))
