"""Who is meant by an uploaded identity (amc-api 2.5)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import duckdb
import pytest

from amci.sandbox.uploads.columns import EXTERNAL, HASHED
from amci.sandbox.uploads.identities import (
    Resolver,
    clear,
    hashed_sql,
    identity,
    identity_sql,
    is_digest,
    resolving,
    standard_sql,
)

PEOPLE = 1000


def made_up_people(number: int) -> str:
    """People whom AMC knows all."""
    return (
        "SELECT range AS person, md5(concat('user|', range)) AS user_id, 'adUserId' AS user_id_type,"
        ' range AS "amci user", CAST(range % 1048576 AS INTEGER) AS "amci part"'
        f" FROM range(1, {number + 1})"
    )


#: Nobody knows every tenth of them.
PARTLY_KNOWN = (
    "SELECT person, CASE WHEN person % 10 > 0 THEN user_id END AS user_id,"
    ' CASE WHEN person % 10 > 0 THEN user_id_type END AS user_id_type, "amci user", "amci part"'
    f" FROM ({made_up_people(PEOPLE)})"
)


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as con:
        yield con


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _resolved(
    con: duckdb.DuckDBPyConnection, kind: str, values: Sequence[str | None], people: str = ""
) -> list[tuple[str | None, int, int, str | None]]:
    """Of each value: user_id, "amci user", "amci part", user_id_type."""
    con.execute("CREATE OR REPLACE TEMP TABLE given AS SELECT unnest(?::VARCHAR[]) AS v", [list(values)])
    relation = f'SELECT v AS "{kind}", concat(\'row\', rowid) AS "amci row", rowid AS n FROM given'
    resolver = Resolver(con, people or made_up_people(PEOPLE))
    sql = resolver.resolved(relation, [((kind,), (kind,))])
    return con.execute(
        f'SELECT user_id, "amci user", "amci part", user_id_type FROM ({sql}) ORDER BY n'
    ).fetchall()


def test_a_person_has_an_e_mail_that_anybody_can_write_down() -> None:
    assert clear("EMAIL", 7) == "person7@example.com"
    assert identity("EMAIL", 7) == _sha("person7@example.com")
    assert clear("PHONE", 7) == "12060000007"
    assert clear("ZIP", 100_007) == "00007"


@pytest.mark.parametrize("kind", [*HASHED, *EXTERNAL])
@pytest.mark.parametrize("person", [1, 12_345, 1_000_000])
def test_the_rule_is_the_same_in_sql(con: duckdb.DuckDBPyConnection, kind: str, person: int) -> None:
    made = con.execute(f"SELECT {identity_sql(kind, 'n')} FROM (SELECT {person}::BIGINT AS n)").fetchall()
    assert made == [(identity(kind, person),)]
    assert is_digest(identity(kind, person)) == (kind in HASHED)


@pytest.mark.parametrize("kind", ["EMAIL", "PHONE", "MAID", "LIVERAMP", "EXPERIAN"])
def test_four_in_five_people_match_and_are_themselves(con: duckdb.DuckDBPyConnection, kind: str) -> None:
    numbers = range(1, PEOPLE + 1)
    found = _resolved(con, kind, [identity(kind, person) for person in numbers])
    matched = [(user, person) for (_, user, *_), person in zip(found, numbers, strict=True) if user]
    assert 0.76 <= len(matched) / PEOPLE <= 0.84
    assert all(user == person for user, person in matched)


def test_four_in_five_match_though_nobody_knows_some_people(con: duckdb.DuckDBPyConnection) -> None:
    numbers = range(1, PEOPLE + 1)
    found = _resolved(con, "EMAIL", [identity("EMAIL", person) for person in numbers], PARTLY_KNOWN)
    matched = [person for (user_id, *_), person in zip(found, numbers, strict=True) if user_id]
    assert 0.76 <= len(matched) / PEOPLE <= 0.84
    assert all(person % 10 for person in matched)


def test_four_in_five_identities_of_ones_own_match(con: duckdb.DuckDBPyConnection) -> None:
    mine = [_sha(f"somebody{n}@my.shop") for n in range(2000)]
    found = _resolved(con, "EMAIL", mine)
    assert 0.77 <= sum(user > 0 for _, user, *_ in found) / 2000 <= 0.83
    assert _resolved_again(mine) == found


def _resolved_again(values: Sequence[str]) -> list[tuple[str | None, int, int, str | None]]:
    with duckdb.connect() as con:
        return _resolved(con, "EMAIL", values)


def test_the_same_identity_is_always_the_same_user(con: duckdb.DuckDBPyConnection) -> None:
    values = [identity("EMAIL", 1 + n % 50) for n in range(500)]
    found = _resolved(con, "EMAIL", values)
    assert len(set(zip(values, found, strict=True))) == 50


def test_who_matches_has_a_user_and_who_does_not_has_only_a_part(con: duckdb.DuckDBPyConnection) -> None:
    found = _resolved(con, "EMAIL", [identity("EMAIL", person) for person in range(1, 200)])
    assert {(user_id is None, user == 0, kind is None) for user_id, user, _, kind in found} == {
        (True, True, True),
        (False, False, False),
    }
    parts = [part for _, _, part, _ in found]
    assert all(0 <= part < 1 << 20 for part in parts)
    assert len(set(parts)) > 190


def test_a_row_without_an_identity_is_nobodys(con: duckdb.DuckDBPyConnection) -> None:
    found = _resolved(con, "EMAIL", [None, None])
    assert [(user_id, user) for user_id, user, *_ in found] == [(None, 0), (None, 0)]
    assert found[0][2] != found[1][2]


def test_in_a_world_of_strangers_nobody_matches(con: duckdb.DuckDBPyConnection) -> None:
    nobody = f"SELECT * FROM ({made_up_people(3)}) WHERE false"
    assert [row[1] for row in _resolved(con, "EMAIL", [identity("EMAIL", 1)], nobody)] == [0]


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        (["PHONE", "EMAIL", "CITY"], [("EMAIL",), ("PHONE",)]),
        (["MAID", "EMAIL"], [("EMAIL",), ("MAID",)]),
        (["LAST_NAME", "ZIP", "ADDRESS"], []),
        (
            ["ZIP", "ADDRESS", "LAST_NAME", "FIRST_NAME", "LIVERAMP"],
            [("FIRST_NAME", "LAST_NAME", "ADDRESS", "ZIP"), ("LIVERAMP",)],
        ),
    ],
)
def test_some_kinds_say_who_is_meant_only_together(kinds: list[str], expected: list[tuple[str, ...]]) -> None:
    assert resolving(kinds) == expected


def test_a_whole_name_means_a_person(con: duckdb.DuckDBPyConnection) -> None:
    kinds = ("FIRST_NAME", "LAST_NAME", "ADDRESS", "ZIP")
    values = ", ".join(f"{identity_sql(kind, 'range')} AS {kind}" for kind in kinds)
    relation = f'SELECT {values}, range::VARCHAR AS "amci row", range AS n FROM range(1, 301)'
    sql = Resolver(con, made_up_people(PEOPLE)).resolved(relation, [(kinds, kinds)])
    found = con.execute(f'SELECT n, "amci user" FROM ({sql})').fetchall()
    assert {user in (0, n) for n, user in found} == {True}
    assert 0.7 <= sum(user > 0 for _, user in found) / 300 <= 0.9


def test_the_second_identity_helps_where_the_first_does_not(con: duckdb.DuckDBPyConnection) -> None:
    values = f"{identity_sql('EMAIL', 'range')} AS EMAIL, {identity_sql('PHONE', 'range')} AS PHONE"
    relation = f'SELECT {values}, range::VARCHAR AS "amci row", range AS n FROM range(1, 501)'
    resolver = Resolver(con, made_up_people(PEOPLE))
    sql = resolver.resolved(relation, [(("EMAIL",), ("EMAIL",)), (("PHONE",), ("PHONE",))])
    found = con.execute(f'SELECT n, "amci user" FROM ({sql})').fetchall()
    assert {user in (0, n) for n, user in found} == {True}
    assert sum(user > 0 for _, user in found) / 500 > 0.9


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("EMAIL", " Person7@Example.COM ", "person7@example.com"),
        ("PHONE", "+1 (206) 000-0007", "12060000007"),
        ("PHONE", "206-000-0007", "12060000007"),
        ("PHONE", "0049 30 1234567", "0049301234567"),
        ("FIRST_NAME", "José-María ", "josemaria"),
        ("CITY", "San Francisco", "sanfrancisco"),
        ("ZIP", "00007-1234", "00007"),
        ("STATE", "WA", "wa"),
    ],
)
def test_clear_text_is_standardised(
    con: duckdb.DuckDBPyConnection, kind: str, text: str, expected: str
) -> None:
    assert con.execute(f"SELECT {standard_sql(kind, '?')}", [text]).fetchall() == [(expected,)]
    sql = hashed_sql(kind, "v")
    made = con.execute(f"SELECT {sql} FROM (SELECT ?::VARCHAR AS v)", [text]).fetchall()
    assert made == [(_sha(expected),)]


def test_what_is_hashed_already_stays_as_it_is(con: duckdb.DuckDBPyConnection) -> None:
    given = _sha("x").upper()
    made = con.execute(f"SELECT {hashed_sql('EMAIL', 'v')} FROM (SELECT ?::VARCHAR AS v)", [given]).fetchall()
    assert made == [(_sha("x"),)]
