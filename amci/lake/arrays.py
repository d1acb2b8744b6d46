"""Arrays as AMC prints them, `[a, b]` or `[[1, a], [2, b]]`: which texts are some, and the SQL to and from lists.

AMC quotes nothing inside: an element with `, ` in it becomes two. Printed again, the text is the same.
"""

from __future__ import annotations

#: A regular expression of arrays whose elements are text. Brackets right inside say that they are rows.
FLAT = r"(?s)\[(?:[^\[].*)?\]"
_ROW = r"\[[^\[\]]*\]"
#: And of arrays of rows; not of `[]`, which may be either, so that it means one thing in every file.
NESTED = rf"\[{_ROW}(?:, {_ROW})*\]"
_NULL = "null"


def of(element: str) -> str:
    """The regular expression of arrays whose elements are given by one."""
    one = f"(?:{_NULL}|{element})"
    return rf"\[(?:{one}(?:, {one})*)?\]"


def split(expr: str, *, is_nested: bool) -> str:
    """SQL that turns such a text into a list of texts, or a list of lists; NULL stays NULL."""
    if is_nested:
        rows = f"string_split(substr({expr}, 3, length({expr}) - 4), '], [')"
        return f"list_transform({rows}, lambda r: {_elements('r')})"
    inner = f"substr({expr}, 2, length({expr}) - 2)"
    return f"CASE WHEN {expr} = '[]' THEN [] ELSE {_elements(inner)} END"


def _elements(text: str) -> str:
    return f"list_transform(string_split({text}, ', '), lambda x: NULLIF(x, '{_NULL}'))"


def printed(expr: str, *, is_nested: bool) -> str:
    """SQL that prints a list as AMC does; NULL stays NULL."""
    if is_nested:
        return _listed(f"list_transform({expr}, lambda r: {_listed('r')})")
    return _listed(expr)


def _listed(expr: str) -> str:
    texts = f"list_transform({expr}, lambda x: coalesce(CAST(x AS VARCHAR), '{_NULL}'))"
    return f"'[' || array_to_string({texts}, ', ') || ']'"
