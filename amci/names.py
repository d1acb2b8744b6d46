"""Rules for names: what a table or column may be called, and how it is quoted."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_OTHER = re.compile(r"[^A-Za-z0-9_]+")


def sanitized(name: str) -> str:
    """The catalogue name of anything: accents stripped, other characters one `_`, lower case.

    The rule is awswrangler's, which named the AWS solution's Glue tables and columns, so tables keep their
    names. A name with no letter or digit left becomes `_`.
    """
    plain = "".join(c for c in unicodedata.normalize("NFD", name) if unicodedata.category(c) != "Mn")
    return _OTHER.sub("_", plain).lower() or "_"


def column_names(header: Iterable[str], reserved: Iterable[str] = ()) -> list[str]:
    """Sanitised names for a header, made unique without regard to case by a numbered suffix.

    `Total Sales, total_sales` become `total_sales, total_sales_2`; a name in `reserved` is taken already.
    An empty header cell becomes `column_<position>`.
    """
    taken = set(reserved)
    names = []
    for position, cell in enumerate(header, start=1):
        base = sanitized(cell) if cell.strip() else f"column_{position}"
        name, n = base, 1
        while name in taken:
            n += 1
            name = f"{base}_{n}"
        taken.add(name)
        names.append(name)
    return names


def quoted(*parts: str) -> str:
    """A SQL identifier, each part quoted: `quoted("a", 'b"c')` is `"a"."b""c"`."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)


def literal(text: str) -> str:
    """A SQL string literal; for the few places where DuckDB takes no parameter."""
    return "'" + text.replace("'", "''") + "'"
