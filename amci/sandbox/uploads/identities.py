"""Whom an e-mail, a phone number or a mobile ad id stands for among the people of the synthetic world.

Person number n has the e-mail `person<n>@example.com`, and so on: see CLEAR. Four in five distinct identities match;
their digest decides which. An identity that no person has stands for some person, always the same one, so that
uploads of real lists find users, too.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from amci.kernel.names import literal, quoted

if TYPE_CHECKING:
    import duckdb

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


_OF_ALL = 10_000
#: SQL over an identity: whether it matches, whom it stands for, and the part that it is in.
_MATCHES = "md5_number_lower({0}) % 10000 < {1}"
_STANDS_FOR = "CAST(md5_number_upper({0}) % {1} AS BIGINT)"
_PART = "CAST(md5_number_upper({0}) % {1} AS INTEGER)"


class Resolver:
    """The people of a world by their identities; each kind gets a table of the session, once."""

    def __init__(self, con: duckdb.DuckDBPyConnection, people: str) -> None:
        """`people` is a SELECT as `world.people_of` returns it."""
        self._con = con
        con.execute(f"CREATE TEMP TABLE people AS {people}")
        con.execute(
            "CREATE TEMP TABLE known AS SELECT *, row_number() OVER (ORDER BY person) - 1 AS place"
            " FROM people WHERE user_id IS NOT NULL"
        )
        found = con.execute("SELECT (SELECT count(*) FROM people), (SELECT count(*) FROM known)").fetchall()
        self._people, self._known = map(int, found[0])

    def resolved(self, relation: str, identities: Sequence[tuple[tuple[str, ...], Sequence[str]]]) -> str:
        """A SELECT of the relation's columns and user_id, user_id_type, "amci user", "amci part", "amci identities".

        `identities` are pairs of kinds and the columns with their standardised, hashed values, the most trusted
        first. The relation has a column "amci row" that is unique: rows without an identity are spread over the
        parts by it.
        """
        names = [f'"amci key {n}"' for n in range(len(identities))]
        keys, joins, places = [], [], []
        for n, (kinds, columns) in enumerate(identities):
            self._make(kinds)
            keys.append(f"{key_sql(kinds, list(map(quoted, columns)))} AS {names[n]}")
            joins.append(f"LEFT JOIN {_table(kinds)} k{n} ON k{n}.key = r.{names[n]}")
            places.append(self._place(f"r.{names[n]}", f"k{n}"))
        keyed = f"SELECT *, {', '.join(keys)} FROM ({relation})"
        of_first = ", ".join([*names, '"amci row"'])
        placed = (
            f'SELECT r.*, coalesce({", ".join(places)}) AS "amci place",'
            f' {_PART.format(f"coalesce({of_first})", PARTS)} AS "amci own part",'
            f' list_filter([{", ".join(names)}], lambda each: each IS NOT NULL) AS "amci identities"'
            f" FROM ({keyed}) r {' '.join(joins)}"
        )
        return (
            'SELECT p.*, user_id, user_id_type, coalesce("amci user", 0) AS "amci user",'
            ' coalesce("amci part", "amci own part") AS "amci part"'
            f' FROM ({placed}) p LEFT JOIN known ON known.place = p."amci place"'
        )

    def _make(self, kinds: tuple[str, ...]) -> None:
        """Create the table of all people by their identity of a kind."""
        key = key_sql(kinds, [identity_sql(kind, "people.person") for kind in kinds])
        self._con.execute(
            f"CREATE TEMP TABLE IF NOT EXISTS {_table(kinds)} AS"
            f" SELECT {key} AS key, CAST(coalesce(place, -1) AS BIGINT) AS place"
            " FROM people LEFT JOIN known USING (person)"
        )

    def _place(self, key: str, joined: str) -> str:
        """SQL for the place of an identity among the known people; NULL if it does not match, or is unknown."""
        if not self._known:
            return "NULL"
        # four in five of all people should match, although AMC does not know all of them
        of_people = min(_OF_ALL, MATCHING * self._people // self._known)
        return (
            f"CASE WHEN {joined}.place IS NOT NULL"
            f" THEN CASE WHEN {_MATCHES.format(key, of_people)} THEN nullif({joined}.place, -1) END"
            f" WHEN {key} IS NOT NULL AND {_MATCHES.format(key, MATCHING)}"
            f" THEN {_STANDS_FOR.format(key, self._known)} END"
        )


def _table(kinds: tuple[str, ...]) -> str:
    return quoted(f"by {'+'.join(kinds)}")
