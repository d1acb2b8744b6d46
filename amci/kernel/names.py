"""Rules for names: what a table or column may be called, and how it is quoted."""

from __future__ import annotations

import difflib
import hashlib
import re
import unicodedata
from collections.abc import Container, Iterable
from functools import lru_cache

_LONGEST = 200
_OTHER = re.compile(r"[^A-Za-z0-9_]+")
#: Accents, and characters that Unicode counts as letters or marks but that show nothing.
_UNSEEN = re.compile("[\u0300-\u036f\u115f\u1160\u17b4\u17b5\u180b-\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]")
#: Signs of ASCII that `column_key` names.
_ASCII_SIGNS = re.compile(r"[#$%+<>]")
_ACCENTED = re.compile("([a-z0-9_])[\u0300-\u036f]+")
#: Latin letters that no accent makes.
_LATIN = str.maketrans(
    {"æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ð": "d", "ł": "l", "ı": "i", "þ": "th", "ħ": "h", "ŋ": "n"}
)
_BETWEEN = re.compile(r"[\s_]*\s[\s_]*")

#: A column as its file names it: a text, or the steps to a field inside others.
Header = str | tuple[str, ...]


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


@lru_cache(maxsize=10_000)
def column_key(header: str) -> str:
    """What a header has in common with other spellings of the same column: no case, no blanks, no punctuation.

    Unlike in `comparable`, signs that mean something count, by the names that Unicode has for them: `Spend ($)` is
    `spend_dollar`, `# of clicks` is `number_of_clicks`. Letters of every script are kept, Latin ones without
    accents. A header of nothing but ASCII letters, digits and punctuation gives what `sanitized` gives.
    """
    if header.isascii() and not _ASCII_SIGNS.search(header):
        return sanitized(header)
    text = unicodedata.normalize("NFKC", header)
    named = "".join(f" {_sign(c)} " if _is_sign(c) else c for c in text)
    folded = unicodedata.normalize("NFD", named.casefold().translate(_LATIN))
    # Without accents, as `sanitized` has it; marks of other scripts tell letters apart.
    kept = unicodedata.normalize("NFC", _ACCENTED.sub(r"\1", folded))
    key = _BETWEEN.sub("_", "".join(c if c == "_" or _counts(c) else " " for c in kept))
    return key if key == sanitized(header) else key.strip("_") or key


@lru_cache(maxsize=10_000)
def column_name(header: str) -> str:
    """The catalogue name that a header asks for, wherever its column stands and whatever stands beside it.

    What `sanitized` makes of it, if that loses nothing but case, accents and punctuation. Signs have their names
    in it, see `column_key`. If letters or digits are lost (any script but Latin), six hex digits are
    added that the header alone decides, without case, width and punctuation. A header of nothing at all is
    `unnamed`.
    """
    key = column_key(header)
    if key.isascii() and key.strip("_"):
        return key
    if not header.strip():
        return "unnamed"
    base = sanitized(key).strip("_") or "column"
    return f"{base[:_LONGEST]}_{_digits(key if key.strip('_') else header)}"


def column_names(
    header: Iterable[Header],
    reserved: Iterable[str] = (),
    *,
    before: Iterable[str] = (),
    kept: Iterable[str] = (),
) -> list[str]:
    """Catalogue names for the columns of one file, no two the same: what `column_name` gives, if it can.

    If several headers ask for one name (`userid`, `userId`), the header that is spelled like it gets it, else the
    first in the order of their letters; the others get six hex digits behind it that are made from their spelling.
    So no name depends on where its column stands. Only if a header is repeated, its second column is `…_2`; so is
    one whose name is in `reserved`. A header is a text, or the steps to a field inside others.
    The first columns may have their names already, in `before`. A name in `kept` that `earlier_names` gives a
    column, and that no header asks for now, is its name.
    """
    return list(_column_names(tuple(header), frozenset(reserved), tuple(before), frozenset(kept)))


@lru_cache(maxsize=256)
def _column_names(
    header: tuple[Header, ...], reserved: frozenset[str], before: tuple[str, ...], kept: frozenset[str]
) -> tuple[str, ...]:
    cells = [cell if isinstance(cell, tuple) else (cell,) for cell in header]
    asked = [column_name("_".join(cell)) for cell in cells]
    names = dict(enumerate(before))
    free = kept.difference(before, asked)  # what a header asks for is for it, in any order
    earlier = enumerate(earlier_names(cells, reserved)) if kept else ()
    names = {place: name for place, name in earlier if name in free} | names
    taken = {*reserved, *names.values()}
    if not names and len(set(asked)) == len(asked) and taken.isdisjoint(asked):
        return tuple(asked)
    places: dict[tuple[str, ...], list[int]] = {}
    for place, cell in enumerate(cells):
        places.setdefault(cell, []).append(place)
    spelled = sorted(places, key=lambda cell: (cell != (asked[places[cell][0]],), cell))
    for cell in spelled:
        first = places[cell][0]
        if first not in names:
            names[first] = _free(asked[first], cell, taken, is_reserved=asked[first] in reserved)
            taken.add(names[first])
    for cell in spelled:
        first, *others = places[cell]
        for n, place in enumerate(others, start=2):
            if place not in names:
                names[place] = _free(f"{names[first]}_{n}", (*cell, str(n)), taken)
                taken.add(names[place])
    return tuple(names[place] for place in range(len(cells)))


def _free(name: str, cell: tuple[str, ...], taken: Container[str], *, is_reserved: bool = False) -> str:
    """The name, or one with digits made from the spelling that is not taken."""
    name = f"{name}_2" if is_reserved else name
    return name if name not in taken else with_digits(name, ".".join(cell), taken)


def with_digits(name: str, spelling: str, taken: Container[str]) -> str:
    """The name with as many hex digits behind it, made from the spelling, as make it a name not in `taken`."""
    digits = _digits(unicodedata.normalize("NFC", spelling), 64)
    return next(
        made for size in range(6, 65, 2) if (made := f"{name[:_LONGEST]}_{digits[:size]}") not in taken
    )


def earlier_names(header: Iterable[Header], reserved: Iterable[str] = ()) -> list[str]:
    """The names that earlier releases gave: tables, transforms and rules made then go on having them.

    `Total Sales, total_sales` were `total_sales, total_sales_2` by their order; a header without a Latin letter or
    digit was `column_<position>`.
    """
    taken = set(reserved)
    names = []
    for position, cell in enumerate(header, start=1):
        base = sanitized("_".join(cell) if isinstance(cell, tuple) else cell)
        if not base.strip("_"):
            base = f"column_{position}"
        name, n = base, 1
        while name in taken:
            n += 1
            name = f"{base}_{n}"
        taken.add(name)
        names.append(name)
    return names


def _digits(text: str, size: int = 6) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:size]


def _is_sign(c: str) -> bool:
    """Whether a character says something although it is neither letter nor digit, as `€` and `%` do."""
    return c in "%#\u2030" or (unicodedata.category(c) in ("Sc", "Sm", "So") and c not in "|~=\u2044")


def _sign(c: str) -> str:
    """`dollar` for `$`; what has no name is left out."""
    words = unicodedata.name(c, "").lower().replace("-", " ").split()
    return " ".join(word for word in words if word not in ("sign", "symbol"))


def _counts(c: str) -> bool:
    """Whether a character is part of a name, in any script."""
    return c.isalnum() or unicodedata.category(c)[0] == "M"


def quoted(*parts: str) -> str:
    """A SQL identifier, each part quoted: `quoted("a", 'b"c')` is `"a"."b""c"`."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)


def literal(text: str) -> str:
    """A SQL string literal: where DuckDB takes no parameter, and where one costs too much.

    For each value that is a parameter, DuckDB's module tries twice to import pandas: a millisecond each if there is
    none.
    """
    return "'" + text.replace("'", "''") + "'"


def suggestion(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` was probably meant to be; None if nothing is near."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return near[0] if near else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """` (did you mean '…'?)` to end a sentence about an unknown name with; empty if no known name is near."""
    near = suggestion(name, known)
    return f" (did you mean '{near}'?)" if near else ""


def near_or(name: str, known: Iterable[str], otherwise: str) -> str:
    """The hint about an unknown name: `did you mean '…'?` if a known one is near, else `otherwise`."""
    near = suggestion(name, known)
    return f"did you mean '{near}'?" if near else otherwise
