"""Nothing that comes of a literal or a parameter is compared with columns that tell people apart (amc-api 3.3)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import pytest
from hypothesis import given, settings, strategies as st

from amci.amcsql.binder.expressions import COMPARISON
from amci.amcsql.findings import CompileError

from .amcside import compile_only

DECLARED = [{"name": "p", "dataType": "STRING"}]
SECRET = ("postal", "user_id", "household")
OPEN = ("device", "site", "age")


@dataclass(frozen=True, slots=True)
class Part:
    """An expression, and what WITH and FROM need for it; `{c}` is the column it is about."""

    expr: str
    ctes: tuple[str, ...] = ()
    joined: str = ""


CARRIERS = {
    "literal": Part("'p1'"),
    "function": Part("UPPER('p1')"),
    "concat": Part("CONCAT('p', '1')"),
    "parameter": Part("CUSTOM_PARAMETER('p')"),
    "window": Part("CAST(BUILT_IN_PARAMETER('TIME_WINDOW_START') AS VARCHAR)"),
    "case": Part("CASE WHEN v.device = 'tv' THEN 'p1' ELSE v.site END"),
    "if": Part("IF(v.device = 'tv', 'p1', v.site)"),
    "coalesce": Part("COALESCE(v.site, 'p1')"),
    "cte": Part("k.k", ("k AS (SELECT DISTINCT 'p1' AS k FROM clicks)",), "CROSS JOIN k"),
    "two ctes": Part(
        "k.k",
        ("j AS (SELECT 'p1' AS j FROM clicks)", "k AS (SELECT MAX(j) AS k FROM j)"),
        "CROSS JOIN k",
    ),
    "parameter in a cte": Part(
        "k.k", ("k AS (SELECT DISTINCT CUSTOM_PARAMETER('p') AS k FROM clicks)",), "CROSS JOIN k"
    ),
    "sub-query": Part("k.k", (), "CROSS JOIN (SELECT DISTINCT 'p1' AS k FROM clicks) k"),
    "values": Part("k.k", ("k (k) AS (VALUES ('p1'), ('p2'))",), "CROSS JOIN k"),
    "values in FROM": Part("k.k", (), "CROSS JOIN (VALUES ('p1')) AS k (k)"),
    "union arm": Part(
        "k.k",
        ("k AS (SELECT site AS k FROM clicks UNION ALL SELECT 'p1' AS k FROM clicks)",),
        "CROSS JOIN k",
    ),
}
VICTIMS = {
    "column": Part("v.{c}"),
    "function": Part("UPPER(v.{c})"),
    "part": Part("SUBSTRING(v.{c}, 1, 2)"),
    "concat": Part("CONCAT(v.{c}, v.site)"),
    "coalesce": Part("COALESCE(v.{c}, v.site)"),
    "case": Part("CASE WHEN v.device IS NOT NULL THEN v.{c} ELSE v.site END"),
    "cast": Part("CAST(v.{c} AS VARCHAR)"),
    "cte": Part("w.x", ("w AS (SELECT user_id, {c} AS x FROM views)",), "JOIN w ON w.user_id = v.user_id"),
    "two ctes": Part(
        "w.x",
        ("u AS (SELECT user_id, {c} AS y FROM views)", "w AS (SELECT user_id, y AS x FROM u)"),
        "JOIN w ON w.user_id = v.user_id",
    ),
    "sub-query": Part("w.x", (), "JOIN (SELECT user_id, {c} AS x FROM views) w ON w.user_id = v.user_id"),
    "union arm": Part(
        "w.x",
        ("w AS (SELECT user_id, site AS x FROM views UNION ALL SELECT user_id, {c} AS x FROM clicks)",),
        "JOIN w ON w.user_id = v.user_id",
    ),
    "aggregate": Part(
        "w.x", ("w AS (SELECT site, MIN({c}) AS x FROM views GROUP BY site)",), "JOIN w ON w.site = v.site"
    ),
    "outer join": Part("w.{c}", (), "LEFT JOIN clicks w ON w.user_id = v.user_id"),
}
#: SELECT and what follows FROM, of a victim `{v}` and what a carrier brings `{k}`.
SINKS = {
    "where": ("COUNT(*) AS n", "WHERE {v} = {k}"),
    "reversed": ("COUNT(*) AS n", "WHERE {k} = {v}"),
    "unequal": ("COUNT(*) AS n", "WHERE {v} <> {k}"),
    "order": ("COUNT(*) AS n", "WHERE {v} < {k}"),
    "between": ("COUNT(*) AS n", "WHERE {v} BETWEEN {k} AND v.site"),
    "in": ("COUNT(*) AS n", "WHERE {v} IN (v.site, {k})"),
    "in query": ("COUNT(*) AS n", "WHERE {v} IN (SELECT 'p1' AS x FROM clicks)"),
    "or": ("COUNT(*) AS n", "WHERE v.user_id IS NOT NULL OR NOT ({v} = {k})"),
    "like": ("COUNT(*) AS n", "WHERE {v} LIKE 'p%'"),
    "similar": ("COUNT(*) AS n", "WHERE {v} SIMILAR TO '^p1'"),
    "contained in": ("COUNT(*) AS n", "WHERE CONTAINED_IN({v}, {k}, v.site)"),
    "join": ("COUNT(*) AS n", "JOIN clicks c ON c.user_id = v.user_id AND {v} = {k}"),
    "having": ("v.device AS d, COUNT(*) AS n", "GROUP BY v.device HAVING MIN({v}) = MIN({k})"),
    "case": ("SUM(CASE WHEN {v} = {k} THEN 1 ELSE 0 END) AS n", ""),
    "simple case": ("SUM(CASE {v} WHEN {k} THEN 1 ELSE 0 END) AS n", ""),
    "if": ("COUNT(DISTINCT IF({v} = {k}, v.site, NULL)) AS n", ""),
    "nullif": ("COUNT(NULLIF({v}, {k})) AS n", ""),
    "group by": (
        "CASE WHEN {v} = {k} THEN 1 ELSE 0 END AS is_it, COUNT(*) AS n",
        "GROUP BY CASE WHEN {v} = {k} THEN 1 ELSE 0 END",
    ),
}


def query(carrier: str, victim: str, sink: str, column: str) -> str:
    """The attack on a column."""
    k, v = CARRIERS[carrier], VICTIMS[victim]
    select, rest = SINKS[sink]
    ctes = ", ".join((*k.ctes, *v.ctes))
    parts = (f"WITH {ctes}" if ctes else "", f"SELECT {select} FROM views v", v.joined, k.joined, rest)
    return " ".join(part for part in parts if part).format(v=v.expr, k=k.expr, c=column).format(c=column)


def reasons(sql: str) -> set[str]:
    """The codes of what the query is refused for; none where it compiles."""
    try:
        compile_only(sql, declared=DECLARED, values={"p": "p1"})
    except CompileError as error:
        return {finding.code for finding in error.findings}
    return set()


#: Each carrier into each sink that has no literal of its own, and each victim into each sink.
PAIRS = [
    *(
        (carrier, "column", sink)
        for carrier, sink in product(CARRIERS, SINKS)
        if "{k}" in "".join(SINKS[sink])
    ),
    *(("literal", victim, sink) for victim, sink in product(VICTIMS, SINKS) if victim != "column"),
]
ATTACKS = pytest.mark.parametrize(("carrier", "victim", "sink"), PAIRS)


@ATTACKS
def test_a_literal_never_meets_a_postal_code(carrier: str, victim: str, sink: str) -> None:
    assert COMPARISON in reasons(query(carrier, victim, sink, "postal"))


@ATTACKS
def test_the_same_compiles_where_the_column_is_of_a_low_level(carrier: str, victim: str, sink: str) -> None:
    assert reasons(query(carrier, victim, sink, "age")) == set()


attacks = st.tuples(
    st.sampled_from(list(CARRIERS)), st.sampled_from(list(VICTIMS)), st.sampled_from(list(SINKS))
)


@settings(max_examples=120, derandomize=True, database=None, deadline=None)
@given(attacks, st.sampled_from(SECRET))
def test_no_road_leads_a_literal_to_a_secret(attack: tuple[str, str, str], column: str) -> None:
    assert COMPARISON in reasons(query(*attack, column))


@settings(max_examples=120, derandomize=True, database=None, deadline=None)
@given(attacks, st.sampled_from(OPEN))
def test_all_roads_lead_a_literal_to_what_is_open(attack: tuple[str, str, str], column: str) -> None:
    assert reasons(query(*attack, column)) == set()


#: Keys that literals have got into: groups and joins compare, too.
KEYS = {
    "union, group": "WITH u AS (SELECT {c} AS k FROM views UNION ALL SELECT 'p1' AS k FROM clicks)"
    " SELECT k, COUNT(*) AS n FROM u GROUP BY k",
    "union, hidden group": "WITH u AS (SELECT {c} AS k FROM views UNION ALL SELECT 'p1' AS k FROM clicks)"
    " SELECT COUNT(*) AS n FROM u GROUP BY k",
    "values, join": "WITH k (k) AS (VALUES ('p1')) SELECT COUNT(*) AS n FROM views v JOIN k ON k.k = v.{c}",
    "values, using": "WITH k ({c}) AS (VALUES ('p1')) SELECT COUNT(*) AS n FROM views JOIN k USING ({c})",
    "values, left join": "WITH k (k) AS (VALUES ('p1'))"
    " SELECT COUNT(k.k) AS n FROM views v LEFT JOIN k ON v.{c} = k.k",
    "values, comma": "WITH k (k) AS (VALUES ('p1')) SELECT COUNT(*) AS n FROM views v, k WHERE v.{c} = k.k",
    "case, join": "WITH k AS (SELECT DISTINCT CASE WHEN device = 'tv' THEN 'p1' ELSE site END AS k FROM clicks)"
    " SELECT COUNT(*) AS n FROM views v JOIN k ON v.{c} = k.k",
    "union, join": "WITH k AS (SELECT site AS k FROM clicks UNION SELECT 'p1' AS k FROM clicks)"
    " SELECT COUNT(*) AS n FROM views v JOIN k ON v.{c} = k.k",
    "case, group": "SELECT CASE WHEN {c} LIKE 'p%' THEN 'mine' ELSE 'others' END AS k, COUNT(*) AS n"
    " FROM views GROUP BY 1",
    "flag of a cte": "WITH f AS (SELECT user_id, {c} = 'p1' AS is_it FROM views)"
    " SELECT COUNT(*) AS n FROM f WHERE is_it",
    "having of a cte": "WITH f AS (SELECT site, MAX({c}) AS x FROM views GROUP BY site)"
    " SELECT COUNT(*) AS n FROM f WHERE x >= 'p1'",
    "exists": "SELECT COUNT(*) AS n FROM views v"
    " WHERE EXISTS (SELECT 1 AS x FROM clicks c WHERE c.user_id = v.user_id AND c.{c} = 'p1')",
    "filter in a sub-query": "SELECT COUNT(*) AS n FROM views"
    " WHERE user_id IN (SELECT user_id FROM clicks WHERE {c} = 'p1')",
    "length": "SELECT COUNT(*) AS n FROM views WHERE LENGTH({c}) = 2",
}


@pytest.mark.parametrize("column", SECRET)
@pytest.mark.parametrize("key", KEYS)
def test_a_key_that_has_a_literal_in_it_never_meets_a_secret(key: str, column: str) -> None:
    assert COMPARISON in reasons(KEYS[key].format(c=column))


@pytest.mark.parametrize("column", OPEN)
@pytest.mark.parametrize("key", KEYS)
def test_a_key_that_has_a_literal_in_it_meets_what_is_open(key: str, column: str) -> None:
    assert reasons(KEYS[key].format(c=column)) == set()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT COUNT(*) AS n FROM views WHERE {c} IS NOT NULL",
        "SELECT COUNT(*) AS n FROM views WHERE {c} IS NULL",
        "SELECT COUNT(*) AS n FROM views v JOIN clicks c ON c.{c} = v.{c}",
        "SELECT COUNT(*) AS n FROM views v FULL JOIN clicks c ON c.{c} = v.{c}",
        "SELECT COUNT(*) AS n FROM views JOIN clicks USING ({c})",
        "SELECT COUNT(DISTINCT {c}) AS n FROM views",
        "SELECT COUNT({c}) AS n FROM views",
        "SELECT COUNT(*) AS n FROM views WHERE {c} IN (SELECT {c} FROM clicks WHERE site = 's1')",
        "WITH f AS (SELECT {c}, COUNT(*) AS n FROM views GROUP BY {c}) SELECT n, COUNT(*) AS m FROM f GROUP BY n",
        (
            "WITH f AS (SELECT {c}, COUNT(*) AS n FROM views GROUP BY {c})"
            " SELECT CASE WHEN n > 3 THEN 'many' ELSE 'few' END AS k, COUNT(*) AS m FROM f GROUP BY 1"
        ),
        "SELECT site, COUNT(DISTINCT {c}) AS n FROM views GROUP BY site HAVING COUNT(DISTINCT {c}) > 10",
        "SELECT site, COUNT(DISTINCT IF(device = 'tv', {c}, NULL)) AS n FROM views GROUP BY site",
        "SELECT COUNT(DISTINCT CASE WHEN device = 'tv' THEN {c} END) AS n FROM views",
        (
            "WITH f AS (SELECT {c}, 1 AS is_view FROM views UNION ALL SELECT {c}, 0 AS is_view FROM clicks),"
            " g AS (SELECT {c}, MAX(is_view) AS is_view FROM f GROUP BY {c})"
            " SELECT CASE WHEN is_view = 1 THEN 'view' ELSE 'click' END AS k, COUNT(*) AS n FROM g GROUP BY 1"
        ),
        (
            "SELECT CASE WHEN c.{c} IS NULL THEN 'view' WHEN v.{c} IS NULL THEN 'click' ELSE 'both' END AS k,"
            " COUNT(DISTINCT COALESCE(v.{c}, c.{c})) AS n FROM views v FULL JOIN clicks c ON c.{c} = v.{c} GROUP BY 1"
        ),
    ],
)
@pytest.mark.parametrize("column", SECRET)
def test_what_everybody_does_with_users_compiles(sql: str, column: str) -> None:
    assert reasons(sql.format(c=column)) == set()


@pytest.mark.parametrize("column", ["user_id", "household"])
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT {c}, COUNT(*) AS n FROM views GROUP BY {c}",
        "SELECT MAX({c}) AS n FROM views",
        "SELECT MIN({c}) AS n, site FROM views GROUP BY site",
        "SELECT COLLECT({c}) AS n FROM views",
        "SELECT COLLECT(DISTINCT {c}) AS n, site FROM views GROUP BY site",
        "SELECT UPPER({c}) AS n, COUNT(*) AS m FROM views GROUP BY 1",
        "SELECT CONCAT(site, {c}) AS n, COUNT(*) AS m FROM views GROUP BY 1",
        "SELECT MD5({c}) AS n, COUNT(*) AS m FROM views GROUP BY 1",
        "SELECT COALESCE(site, {c}) AS n, COUNT(*) AS m FROM views GROUP BY 1",
        "SELECT CASE WHEN device = 'tv' THEN {c} ELSE site END AS n, COUNT(*) AS m FROM views GROUP BY 1",
        "WITH f AS (SELECT {c} AS x, site FROM views) SELECT MAX(x) AS n, site FROM f GROUP BY site",
        "WITH f AS (SELECT {c} AS x, COUNT(*) AS n FROM views GROUP BY {c}) SELECT x, n FROM f",
        "SELECT x, COUNT(*) AS n FROM (SELECT {c} AS x FROM views) GROUP BY x",
        (
            "SELECT x, COUNT(*) AS n FROM"
            " (SELECT site AS x FROM views UNION ALL SELECT {c} AS x FROM clicks) GROUP BY x"
        ),
        "SELECT site, COUNT(*) AS n FROM views GROUP BY site UNION ALL SELECT MAX({c}) AS s, 1 AS n FROM clicks",
    ],
)
def test_people_are_never_in_the_output(sql: str, column: str) -> None:
    assert "privacy-output" in reasons(sql.format(c=column))


@pytest.mark.parametrize(
    "sql",
    ["SELECT site FROM views", "SELECT site, amount FROM views", "SELECT site, amount / 2 AS n FROM clicks"],
)
def test_events_are_never_in_the_output(sql: str) -> None:
    assert reasons(sql) == {"no-aggregate"}
