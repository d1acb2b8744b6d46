"""Whom an e-mail, a phone number or a mobile ad id stands for among the people of the synthetic world.

Person number n has the e-mail `person<n>@example.com`, and so on: see CLEAR. Four in five distinct identities match;
their digest decides which. An identity that no person has stands for some person, always the same one, so that
uploads of real lists find users, too.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from amci.kernel.names import literal

#: Kind of personal data → the data of person n, standardised, before it is hashed.
CLEAR = {
    "EMAIL": "person{}@example.com",
    "PHONE": "1206{:07d}",
    "FIRST_NAME": "first{}",
    "LAST_NAME": "last{}",
    "ADDRESS": "{}mainstreet",
    "CITY": "springfield",
    "STATE": "wa",
    "ZIP": "{:05d}",
    "COUNTRY_CODE": "us",
}
#: Kinds that identify a person only together.
WHOLE_NAME = ("FIRST_NAME", "LAST_NAME", "ADDRESS", "ZIP")
#: Kind → SQL that standardises clear text before it is hashed.
_STANDARD = {
    "EMAIL": "lower(trim({}))",
    "PHONE": "regexp_replace(regexp_replace({}, '[^0-9]', '', 'g'), '^([0-9]{{10}})$', '1\\1')",
    "ZIP": "left(regexp_replace(lower({}), '[^a-z0-9]', '', 'g'), 5)",
}
_LETTERS = "regexp_replace(lower(strip_accents({})), '[^a-z0-9]', '', 'g')"
_DIGEST = re.compile(r"[0-9a-fA-F]{64}")

MATCHING = 8000  #: of 10,000 distinct identities (amc-api 2.5)
PARTS = 1 << 20


def identity(kind: str, person: int) -> str:
    """The identity of person n in an upload: a SHA-256 of personal data, or a clear id such as a MAID."""
    if kind in CLEAR:
        return hashlib.sha256(clear(kind, person).encode()).hexdigest()
    digits = hashlib.md5(f"{kind}:{person}".encode(), usedforsecurity=False).hexdigest()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def clear(kind: str, person: int) -> str:
    """Personal data of person n, standardised."""
    return CLEAR[kind].format(person % 100_000 if kind == "ZIP" else person)


def identity_sql(kind: str, person: str) -> str:
    """`identity` as DuckDB SQL over the column `person`."""
    if kind in CLEAR:
        number = f"{person} % 100000" if kind == "ZIP" else person
        # a template without a place for the number takes none
        given = f"format({literal(CLEAR[kind])}, {number})" if "{" in CLEAR[kind] else literal(CLEAR[kind])
        return f"sha256({given})"
    digits = f"md5(concat({literal(kind)}, ':', {person}))"
    return f"regexp_replace({digits}, '^(.{{8}})(.{{4}})(.{{4}})(.{{4}})', '\\1-\\2-\\3-\\4-')"


def standard_sql(kind: str, text: str) -> str:
    """SQL that standardises clear text of a kind."""
    return _STANDARD.get(kind, _LETTERS).format(text)


def hashed_sql(kind: str | None, text: str) -> str:
    """SQL for the SHA-256 of a standardised text, or the text itself if it is a SHA-256 already."""
    given = text if kind is None else standard_sql(kind, text)
    return f"CASE WHEN {is_digest_sql(text)} THEN lower({text}) ELSE sha256({given}) END"


def is_digest_sql(text: str) -> str:
    """Whether a text is a SHA-256, as SQL."""
    return f"regexp_full_match({text}, {literal(_DIGEST.pattern)})"


def is_digest(text: str) -> bool:
    """Whether a text is a SHA-256."""
    return _DIGEST.fullmatch(text) is not None


def resolving(kinds: Sequence[str]) -> Sequence[tuple[str, ...]]:
    """The identities to resolve, the most trusted first, each as the kinds of its one or more columns."""
    alone = [kind for kind in ("EMAIL", "PHONE") if kind in kinds]
    together = [WHOLE_NAME] if set(WHOLE_NAME) <= set(kinds) else []
    others = [kind for kind in kinds if kind not in CLEAR]
    return [(kind,) for kind in alone] + together + [(kind,) for kind in others]


def key_sql(kinds: Sequence[str], values: Sequence[str]) -> str:
    """SQL for an identity as one text, the same in every upload; NULL if a part of it is missing."""
    return f"{literal('+'.join(kinds) + ':')} || {' || '.join(values)}"


def key(kind: str, value: str) -> str:
    """`key_sql` of an identity of one kind."""
    return f"{kind}:{value}"
