"""Finds the users behind uploaded identities, in a DuckDB session (amc-api 2.5)."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from amci.kernel.names import quoted
from amci.sandbox.uploads.identities import MATCHING, PARTS, identity_sql, key_sql

_OF_ALL = 10_000
#: What the digest of an identity decides: whether it matches, whom it stands for, in which part it is.
_MATCHES = "md5_number_lower({0}) % 10000 < {1}"
_STANDS_FOR = "CAST(md5_number_upper({0}) % {1} AS BIGINT)"
_PART = "CAST(md5_number_upper({0}) % {1} AS INTEGER)"


class Resolver:
    """The people of a world by their identities; tables of the session are made once for each kind."""

    def __init__(self, con: duckdb.DuckDBPyConnection, people: str) -> None:
        """`people` is a relation as `world.people_of` returns it."""
        self._con = con
        con.execute(f"CREATE TEMP TABLE people AS {people}")
        con.execute(
            "CREATE TEMP TABLE known AS SELECT *, row_number() OVER (ORDER BY person) - 1 AS place"
            " FROM people WHERE user_id IS NOT NULL"
        )
        found = con.execute("SELECT (SELECT count(*) FROM people), (SELECT count(*) FROM known)").fetchall()
        self._people, self._known = map(int, found[0])

    def resolved(self, relation: str, identities: Sequence[tuple[tuple[str, ...], Sequence[str]]]) -> str:
        """The relation with user_id, user_id_type, "amci user", "amci part", "amci identities" beside its columns.

        `identities` are kinds and the columns with their (standardised, hashed) values, the most trusted first.
        The relation has a column "amci row", different for each row.
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
        """All people by their identity of a kind."""
        key = key_sql(kinds, [identity_sql(kind, "people.person") for kind in kinds])
        self._con.execute(
            f"CREATE TEMP TABLE IF NOT EXISTS {_table(kinds)} AS"
            f" SELECT {key} AS key, CAST(coalesce(place, -1) AS BIGINT) AS place"
            " FROM people LEFT JOIN known USING (person)"
        )

    def _place(self, key: str, joined: str) -> str:
        """Which of the known people an identity is, where it matches; nobody knows some people of the world."""
        if not self._known:
            return "NULL"
        # so that four in five of all people match, though AMC knows not all of them
        of_people = min(_OF_ALL, MATCHING * self._people // self._known)
        return (
            f"CASE WHEN {joined}.place IS NOT NULL"
            f" THEN CASE WHEN {_MATCHES.format(key, of_people)} THEN nullif({joined}.place, -1) END"
            f" WHEN {key} IS NOT NULL AND {_MATCHES.format(key, MATCHING)}"
            f" THEN {_STANDS_FOR.format(key, self._known)} END"
        )


def _table(kinds: tuple[str, ...]) -> str:
    return quoted(f"by {'+'.join(kinds)}")
