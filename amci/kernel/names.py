"""Rules for names: what a table or column may be called, and how it is quoted."""

from __future__ import annotations

import difflib
import hashlib
import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

_LONGEST = 200
_OTHER = re.compile(r"[^A-Za-z0-9_]+")
#: Accents, and characters that Unicode counts as letters or marks but that show nothing.
_UNSEEN = re.compile("[\u0300-\u036f\u115f\u1160\u17b4\u17b5\u180b-\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]")


def sanitized(name: str) -> str:
    """The catalogue name of anything: accents stripped, other characters one `_`, lower case.

    The rule is awswrangler's, which named the AWS solution's Glue tables and columns, so tables keep their
    names. A name with no letter or digit left becomes `_`.
    """
    return _OTHER.sub("_", _without_accents(name)).lower() or "_"


@lru_cache(maxsize=10_000)
def comparable(name: str) -> str:
    """What all spellings of a name have in common: its letters and digits, without case, accents or width.

    `User E-Mail`, `user.email`, `userEmail` and full-width `ＵＳＥＲ＿ＥＭＡＩＬ` are all `useremail`. Letters of every
    script count. Empty if the name has neither letter nor digit.
    """
    text = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", name).casefold())
    return "".join(c for c in _UNSEEN.sub("", text) if unicodedata.category(c)[0] in "LMN")


def _without_accents(name: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFD", name) if unicodedata.category(c) != "Mn")


@lru_cache(maxsize=10_000)
def table_name(*parts: str) -> str:
    """The catalogue name of a table, its parts joined by `_`.

    If `sanitized` would drop letters (any script but Latin), six hex digits of the full name's SHA-256 are
    added, so that two workflows never share a table because of their alphabet. So they are to a name of more
    than 200 characters, which is cut: a table is a folder too, and its name has at most 255 bytes.
    """
    full = "_".join(part for part in parts if part)
    name = sanitized(full)
    lost = any(c.isalnum() and not c.isascii() for c in _without_accents(full)) or len(name) > _LONGEST
    return name[:_LONGEST] + (f"_{hashlib.sha256(full.encode()).hexdigest()[:6]}" if lost else "")


def column_names(header: Iterable[str], reserved: Iterable[str] = ()) -> list[str]:
    """Sanitised names for a header, made unique without regard to case by a numbered suffix.

    `Total Sales, total_sales` become `total_sales, total_sales_2`; a name in `reserved` is taken already.
    A header cell without a Latin letter or digit becomes `column_<position>`.
    """
    taken = set(reserved)
    names = []
    for position, cell in enumerate(header, start=1):
        base = sanitized(cell)
        if not base.strip("_"):
            base = f"column_{position}"
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


def suggestion(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` was probably meant to be; None if nothing is near."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return near[0] if near else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """` (did you mean '…'?)` to end a sentence about an unknown name with; empty if no known name is near."""
    near = suggestion(name, known)
    return f" (did you mean '{near}'?)" if near else ""
