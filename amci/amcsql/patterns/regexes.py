"""SIMILAR TO and REGEXP_*: DuckDB's own functions if its engine agrees with Java's, ours otherwise (amc-api 3.2)."""

from __future__ import annotations

import re

from sqlglot import exp

from amci.amcsql.duckdb_templates import call, filled
from amci.amcsql.patterns.java_regex import InvalidPattern, JavaPattern, java_pattern

#: The functions that `amci.sandbox.udfs` adds to DuckDB.
FIND, REPLACE, SUBSTR, SPLIT = CALLED = (
    "amci_regex_find",
    "amci_regex_replace",
    "amci_regex_substr",
    "amci_regex_split",
)
_REPLACEMENT = re.compile(r"\\(.)|\$(?:(\d)|\{([A-Za-z][A-Za-z0-9]*)\})|([^\\$]+)|(.)|(\\$)", re.DOTALL)


def found(text: exp.Expr, pattern: exp.Expr) -> exp.Expr:
    """Whether a pattern is found anywhere in a text."""
    java = _literal(pattern)
    if java is None or java.re2 is None:
        return call(FIND, text, pattern)
    return call("regexp_matches", text, exp.Literal.string(java.re2))


def first_match(text: exp.Expr, pattern: exp.Expr) -> exp.Expr:
    """The first part of a text that matches, NULL if none does."""
    java = _literal(pattern)
    if java is None or java.re2 is None or not java.is_exact:
        return call(SUBSTR, text, pattern)
    return filled("regexp_extract_all($1, $2)[1]", [text, exp.Literal.string(java.re2)])


def replaced(text: exp.Expr, pattern: exp.Expr, replacement: exp.Expr) -> exp.Expr:
    """The text with all parts that match replaced."""
    java = _literal(pattern)
    new = _re2_replacement(java, replacement) if java is not None and java.is_exact else None
    if java is None or java.re2 is None or new is None:
        return call(REPLACE, text, pattern, replacement)
    return call("regexp_replace", text, exp.Literal.string(java.re2), new, exp.Literal.string("g"))


def split(text: exp.Expr, pattern: exp.Expr) -> exp.Expr:
    """The parts of a text between those that match."""
    java = _literal(pattern)
    if java is None or java.re2 is None or not java.is_exact or java.groups:
        return call(SPLIT, text, pattern)
    return call("regexp_split_to_array", text, exp.Literal.string(java.re2))


def replacement_parts(replacement: str, java: JavaPattern) -> list[str | int]:
    """The texts and the groups that a match is replaced with; raises InvalidPattern."""
    parts: list[str | int] = []
    for one in _REPLACEMENT.finditer(replacement):
        if one[5] or one[6]:
            raise InvalidPattern(
                f"'{replacement}' cannot replace anything: a $ names a group, write \\$ for the sign"
            )
        if one[2]:
            parts.append(_group(int(one[2]), replacement, java))
        elif one[3]:
            parts.append(_named_group(one[3], replacement, java))
        else:
            parts.append(one[1] or one[4])
    return parts


def fault(pattern: str) -> str:
    """What is wrong with a pattern; empty if it is valid."""
    try:
        java_pattern(pattern)
    except InvalidPattern as error:
        return str(error)
    return ""


def replacement_fault(pattern: str, replacement: str) -> str:
    """What is wrong with the replacement for matches of a valid pattern; empty if it is valid."""
    try:
        replacement_parts(replacement, java_pattern(pattern))
    except InvalidPattern as error:
        return str(error)
    return ""


def _group(number: int, replacement: str, java: JavaPattern) -> int:
    if number > java.groups:
        raise InvalidPattern(f"'{replacement}' names group {number}, and the pattern has {java.groups}")
    return number


def _named_group(name: str, replacement: str, java: JavaPattern) -> int:
    if name not in java.names:
        raise InvalidPattern(f"'{replacement}' names group {name}, and the pattern has none of that name")
    return java.names[name]


def _literal(pattern: exp.Expr) -> JavaPattern | None:
    return java_pattern(pattern.name) if pattern.is_string else None


def _re2_replacement(java: JavaPattern, replacement: exp.Expr) -> exp.Expr | None:
    if not replacement.is_string:
        return None
    parts = replacement_parts(replacement.name, java)
    said = (f"\\{part}" if isinstance(part, int) else part.replace("\\", "\\\\") for part in parts)
    return exp.Literal.string("".join(said))
