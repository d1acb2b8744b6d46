"""How sensitive a value is, and whether it is a metric: by what it is made of (amc-api 3.3)."""

from __future__ import annotations

import pytest

from amci.amcsql.binder.levels import Level

from ..asking import facts, look, places

#: Expressions over the columns device NONE, site LOW, age MEDIUM, postal HIGH, user_id VERY_HIGH, household INTERNAL,
#: n NONE, cost LOW, score MEDIUM, income HIGH.
LEVELS = {
    "'literal'": "NONE",
    "device": "NONE",
    "site": "LOW",
    "UPPER(age)": "MEDIUM",
    "CONCAT(site, age)": "MEDIUM",
    "CONCAT(device, postal, site)": "HIGH",
    "SUBSTRING(postal FROM 1 FOR 2)": "HIGH",
    "MD5(user_id)": "VERY_HIGH",
    "household": "INTERNAL",
    "n + cost": "LOW",
    "n / score": "MEDIUM",
    "-income": "HIGH",
    "CAST(age AS VARCHAR)": "MEDIUM",
    "CASE WHEN site = 'a' THEN device END": "LOW",
    "CASE WHEN age = 'old' THEN 1 ELSE 0 END": "MEDIUM",
    "CASE device WHEN 'tv' THEN site ELSE postal END": "HIGH",
    "IF(age = 'old', n, cost)": "MEDIUM",
    "IF(postal IS NULL, n, cost)": "LOW",
    "COALESCE(device, site, age)": "MEDIUM",
    "NVL2(postal, device, device)": "NONE",
    "NULLIF(device, age)": "MEDIUM",
    "postal IS NULL": "NONE",
    "user_id IS NOT NULL": "NONE",
    "age = 'old'": "MEDIUM",
    "site LIKE 'a%' AND age SIMILAR TO 'o'": "MEDIUM",
    "site IN (SELECT age FROM clicks)": "MEDIUM",
    "EXISTS (SELECT 1 FROM clicks WHERE age = 'old')": "NONE",
    "SUM(n)": "NONE",
    "SUM(cost)": "LOW",
    "SUM(cost + score)": "MEDIUM",
    "AVG(income)": "HIGH",
    "MIN(age)": "MEDIUM",
    "MAX(postal)": "HIGH",
    "COLLECT(DISTINCT age)": "MEDIUM",
    "MEDIAN(score)": "MEDIUM",
    "COUNT(*)": "NONE",
    "COUNT(postal)": "NONE",
    "COUNT(DISTINCT user_id)": "NONE",
    "COUNT(DISTINCT household)": "NONE",
    "APPROX_COUNT_DISTINCT(user_id)": "NONE",
    "COUNT(DISTINCT IF(age = 'old', user_id, NULL))": "NONE",
    "SUM(IF(age = 'old', 1, 0))": "MEDIUM",
    "SUM(cost) / COUNT(DISTINCT user_id)": "LOW",
    "NAMED_ROW('a', site, 'b', age)": "MEDIUM",
    "ARRAY[site, age]": "MEDIUM",
    "ROW_NUMBER() OVER (PARTITION BY postal ORDER BY age)": "NONE",
    "SUM(score) OVER (PARTITION BY site)": "MEDIUM",
    "RANDOM()": "NONE",
    "CURRENT_DATE": "NONE",
    "DATE_TRUNC('day', at)": "LOW",
    "EXTRACT(HOUR FROM at)": "LOW",
}


@pytest.mark.parametrize("expression", LEVELS)
def test_a_value_is_as_sensitive_as_what_it_is_made_of(expression: str) -> None:
    assert facts(expression).level.name == LEVELS[expression]


@pytest.mark.parametrize(
    ("source", "level"),
    [
        ("(SELECT postal AS x, user_id FROM views)", "HIGH"),
        ("(SELECT device AS x FROM views UNION ALL SELECT age FROM clicks)", "MEDIUM"),
        ("(SELECT age AS x FROM views UNION SELECT device FROM clicks)", "MEDIUM"),
        ("(SELECT MAX(site) AS x FROM views GROUP BY age)", "LOW"),
        ("(SELECT y AS x FROM (SELECT CONCAT(site, age) AS y FROM views))", "MEDIUM"),
        ("(VALUES ('a')) AS v (x)", "NONE"),
    ],
)
def test_the_level_goes_through_queries(source: str, level: str) -> None:
    assert facts("x", source).level.name == level
    assert facts("q.x", f"(WITH w AS (SELECT x FROM {source}) SELECT x FROM w) q").level is Level[level]


@pytest.mark.parametrize(
    ("expression", "is_metric", "is_summed"),
    [
        ("SUM(n)", True, True),
        ("COUNT(*)", True, True),
        ("COUNT(postal)", True, True),
        ("SUM(n) / COUNT(*)", True, True),
        ("COALESCE(SUM(n), 0)", True, True),
        ("CAST(SUM(n) AS DOUBLE)", True, True),
        ("COUNT(DISTINCT user_id)", False, True),
        ("APPROX_COUNT_DISTINCT(site)", False, True),
        ("MAX(n)", False, False),
        ("AVG(n)", False, False),
        ("n", False, False),
        ("SUM(n) > 3", False, False),
        ("CONCAT('n: ', SUM(n))", False, False),
        ("SUM(n) OVER ()", False, False),
        ("CASE WHEN SUM(n) > 3 THEN 'many' END", False, False),
        ("CASE WHEN COUNT(*) > 3 THEN SUM(n) END", True, True),
    ],
)
def test_sums_and_counts_are_metrics(expression: str, is_metric: bool, is_summed: bool) -> None:
    found = facts(expression)
    assert (found.is_metric, found.is_summed) == (is_metric, is_summed)


def test_what_a_later_query_groups_by_is_a_metric_no_more() -> None:
    per_user = "WITH f AS (SELECT user_id, COUNT(*) AS n FROM views GROUP BY 1)"
    found = look(f"{per_user} SELECT n, COUNT(*) AS users, SUM(n) AS total FROM f GROUP BY 1")
    assert found.bound is not None
    outputs = found.bound.query.outputs
    assert [(o.name, o.facts.is_metric) for o in outputs] == [("n", False), ("users", True), ("total", True)]


@pytest.mark.parametrize(
    "expression",
    [
        # what looks for a literal in a secret compares them, whatever becomes of it
        "REGEXP_SUBSTR(user_id, '^u1$') IS NOT NULL",
        "REGEXP_REPLACE(postal, '^p1$', '') = postal",
        "CARDINALITY(REGEXP_SPLIT(postal, 'p1')) = CARDINALITY(REGEXP_SPLIT(postal, 'p2'))",
        "REPLACE(postal, 'p1', '') = postal",
        "TRIM(BOTH 'p' FROM postal) = postal",
        "LTRIM(postal, 'p') = postal",
        "CHARINDEX('p1', postal) IS NOT NULL",
        "POSITION('p1' IN postal) > n",
        "JSON_EXTRACT(CONCAT('{', postal, '}'), '$.p1') IS NULL",
        "CARDINALITY(ARRAY_REMOVE(ARRAY[postal], 'p1')) = n",
        "CARDINALITY(ARRAY_DISTINCT(ARRAY[postal, 'p1'])) = n",
        "NVL2(REGEXP_SUBSTR(postal, 'p1'), TRUE, FALSE)",
        # what is NULL for one value tells which it is
        "1 / (income - 5) IS NULL",
        "MOD(n, income - 5) IS NULL",
        "LN(income - 5) IS NULL",
        "NULLIF(postal, 'p1') IS NULL",
        # a literal can be brought in by a function of an open column
        "REPLACE(site, site, 'p1') = postal",
        "REGEXP_REPLACE(site, '.*', 'p1') = postal",
        "FORMAT(n, '''p1''') = postal",
        "ARRAY_TO_STRING(ARRAY[device, device], 'p1') = postal",
        "CONCAT('p', '1') = postal",
        "GREATEST(postal, 'p1') = site",
    ],
)
def test_a_literal_is_looked_for_in_many_ways(expression: str) -> None:
    sql = f"SELECT COUNT(*) AS n FROM views WHERE {expression}"
    assert {code for code, _ in places(sql)} == {"privacy-comparison"}
    opened = expression.replace("postal", "age").replace("user_id", "site").replace("income", "score")
    assert places(f"SELECT COUNT(*) AS n FROM views WHERE {opened}") == []


@pytest.mark.parametrize(
    "expression",
    [
        "COUNT(DISTINCT REGEXP_SUBSTR(user_id, '^u1$'))",
        "COUNT(DISTINCT CHARINDEX('u1', user_id))",
        "COUNT(1 / (income - 5))",
        "SUM(IF(postal = 'p1', 1, 0))",
    ],
)
def test_a_count_of_what_was_found_is_a_comparison(expression: str) -> None:
    assert {code for code, _ in places(f"SELECT {expression} AS n FROM views")} == {"privacy-comparison"}


@pytest.mark.parametrize(
    "expression",
    [
        "COUNT(DISTINCT CONCAT(user_id, '|', site))",
        "COUNT(DISTINCT NAMED_ROW('user', user_id, 'site', site))",
        "COUNT(DISTINCT MD5(CONCAT(user_id, 'salt')))",
        "COUNT(DISTINCT IF(site = 'a', user_id, NULL))",
        "COUNT(DISTINCT CASE WHEN site SIMILAR TO '^a' THEN household END)",
        "COUNT(DISTINCT UPPER(TRIM(user_id)))",
        "COUNT(DISTINCT SUBSTRING(postal, 1, 2))",
        "SUM(IF(user_id IS NULL, 1, 0))",
        "SUM(cost) / 100000",
        "SUM(n) / COUNT(DISTINCT user_id)",
        "MAX(REPLACE(site, 'a', 'b'))",
        "COUNT(DISTINCT IF(UPPER(postal) = UPPER(site), user_id, NULL))",
    ],
)
def test_what_is_usual_is_no_comparison(expression: str) -> None:
    assert places(f"SELECT {expression} AS n FROM views") == []
