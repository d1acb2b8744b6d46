"""Who is meant by an e-mail, a phone number, a mobile ad id: people of the synthetic world, or whom a rule says.

Person number n has the e-mail `person<n>@example.com`, and so on: see CLEAR. Four in five distinct identities
match, which ones is decided by their digest; an identity of nobody in the world stands for somebody, the same
one every time, so that people may upload lists of their own.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from amci.kernel.names import literal

#: How each kind of personal data of person n is written once it is standardised, before it is hashed.
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
#: Personal data that say who is meant only together.
WHOLE_NAME = ("FIRST_NAME", "LAST_NAME", "ADDRESS", "ZIP")
#: How clear text is standardised before it is hashed, as SQL.
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
    """How person n is called in an upload: a SHA-256 of personal data, an id in the clear."""
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
    """Clear text of a kind, standardised."""
    return _STANDARD.get(kind, _LETTERS).format(text)


def hashed_sql(kind: str | None, text: str) -> str:
    """The SHA-256 of a text: of what it is once standardised, or the text itself where it is hashed already."""
    given = text if kind is None else standard_sql(kind, text)
    return f"CASE WHEN {is_digest_sql(text)} THEN lower({text}) ELSE sha256({given}) END"


def is_digest_sql(text: str) -> str:
    """Whether a text is a SHA-256, as SQL."""
    return f"regexp_full_match({text}, {literal(_DIGEST.pattern)})"


def is_digest(text: str) -> bool:
    """Whether a text is a SHA-256."""
    return _DIGEST.fullmatch(text) is not None


def resolving(kinds: Sequence[str]) -> Sequence[tuple[str, ...]]:
    """What says who is meant, in the order in which it is believed; each from one column or several."""
    alone = [kind for kind in ("EMAIL", "PHONE") if kind in kinds]
    together = [WHOLE_NAME] if set(WHOLE_NAME) <= set(kinds) else []
    others = [kind for kind in kinds if kind not in CLEAR]
    return [(kind,) for kind in alone] + together + [(kind,) for kind in others]


def key_sql(kinds: Sequence[str], values: Sequence[str]) -> str:
    """One text for an identity, the same wherever it is uploaded; NULL where a part of it is missing."""
    return f"{literal('+'.join(kinds) + ':')} || {' || '.join(values)}"


def key(kind: str, value: str) -> str:
    """`key_sql` of an identity of one kind."""
    return f"{kind}:{value}"
