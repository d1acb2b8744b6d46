"""Finds the users of uploaded identities, in a DuckDB session (amc-api 2.5).

Each kind of identity has a table `by <kind>` of all people. A row is joined to these tables by its identities' keys;
its place among the people whom AMC knows is that of the first identity that matches. All of it depends on the identity
alone, so the same identity is the same user in every upload and in every process.
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from amci.kernel.names import quoted
from amci.sandbox.uploads.identities import MATCHING, PARTS, identity_sql, key_sql

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
