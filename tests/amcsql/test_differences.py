"""docs/amc-sql-differences.md: each choice it lists is held by a test that there is; some of them are here."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pytest

from amci.amcsql.findings import CompileError
from amci.amcsql.privacy.thresholds import Privacy

from .asking import Tables, compile_, crowd, look, refusal

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "amc-sql-differences.md"
T = Tables()
T.put("views", [{"user": 1, "site": "a", "n": 5}, {"user": 2, "site": "b", "n": 6}])
T.put("crm", [{"user": 1, "tier": "5", "spend": 5}, {"user": 2, "tier": "x", "spend": 6}])


def _entries() -> Iterator[tuple[str, list[str]]]:
    """The first words of each row of the page, and the cells after them."""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("| ") and not line.startswith(("| what ", "| --- ")):
            what, *cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            yield what.strip(), cells


ENTRIES = dict(_entries())


@cache
def _tests_of(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def test_the_page_has_all_choices() -> None:
    assert len(ENTRIES) > 60
    assert all(len(cells) == 4 and all(cells) for cells in ENTRIES.values())


@pytest.mark.parametrize("what", ENTRIES)
def test_each_choice_names_a_test_that_there_is(what: str) -> None:
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", ENTRIES[what][-1])
    assert named
    for file, name in named:
        assert name in _tests_of(file)


# -- choices that nothing else holds ----------------------------------------------------------------------------


def _value(expression: str) -> Any:
    ((found,),) = T.ask(f"SELECT {expression} AS x")
    return found


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("REGEXP_SUBSTR('abc', 'z')", None),
        ("REGEXP_SPLIT('a,b,,', ',')", ["a", "b", "", ""]),
        ("'ÄRGER' SIMILAR TO '(?i)^ärger$'", True),
        ("'a' SIMILAR TO '(?!)a'", False),
        ("WEEK(CAST('2023-01-01' AS DATE))", 52),
        ("DATE_TRUNC('week', CAST('2023-01-01' AS DATE))", date(2022, 12, 26)),
        ("SECONDS_BETWEEN(CAST('2026-01-01 00:00:00.9' AS TIMESTAMP), '2026-01-01 00:00:02')", 1),
        ("CAST('abcdef' AS VARCHAR(3))", "abc"),
        ("CAST('abcdef' AS CHAR(3))", "abc"),
        ("5 / 0", None),
        ("CONCAT(NULL, 'a', NULL)", "a"),
    ],
)
def test_a_function_gives_what_the_page_says(expression: str, value: Any) -> None:
    assert _value(expression) == value


@pytest.mark.parametrize(
    "expression", ["CAST('five' AS INTEGER)", "CAST('soon' AS DATE)", "CAST('x' AS BOOLEAN)"]
)
def test_a_cast_that_cannot_work_compiles_and_fails_when_it_is_run(expression: str) -> None:
    query = compile_(f"SELECT {expression} AS x FROM views")
    with pytest.raises(duckdb.ConversionException):
        T.con.execute(query.plain)


def test_an_implicit_cast_that_cannot_work_gives_null() -> None:
    assert T.ask("SELECT COUNT(*) AS n, COUNT(tier + 1) AS m FROM crm WHERE tier = 5 OR tier <> 7") == [
        (1, 1)
    ]


def test_text_and_numbers_are_aligned_in_using_as_in_on() -> None:
    sides = "(SELECT tier AS k FROM crm) a JOIN (SELECT spend AS k FROM crm) b"
    assert T.ask(f"SELECT COUNT(*) AS n FROM {sides} USING (k)") == [(1,)]
    assert T.ask(f"SELECT COUNT(*) AS n FROM {sides} ON a.k = b.k") == [(1,)]


def test_a_union_of_text_and_numbers_is_text() -> None:
    assert T.ask("SELECT tier AS k FROM crm UNION ALL SELECT spend FROM crm") == [
        ("5",),
        ("5",),
        ("6",),
        ("x",),
    ]


@pytest.mark.parametrize(("depth", "is_fine"), [(45, True), (60, False)])
def test_parentheses_can_be_nested_some_45_deep(depth: int, is_fine: bool) -> None:
    sql = f"SELECT {'(' * depth}1{')' * depth} AS x"
    assert (look(sql).errors == []) is is_fine
    if not is_fine:
        assert refusal(sql).code == "too-deep"


@pytest.mark.parametrize("word", [" OR ", " AND "])
def test_a_list_of_many_conditions_is_not_deep(word: str) -> None:
    conditions = word.join(f"n <> {number}" for number in range(100, 1600))
    assert T.ask(f"SELECT SUM(n) AS n FROM views WHERE {conditions}") == [(11,)]


def test_what_is_too_deep_is_refused_wherever_it_is_found_out() -> None:
    sums = "+ n " * 5000
    with pytest.raises(CompileError, match="nested too deeply"):
        compile_(f"SELECT SUM(n {sums}) AS n FROM views", privacy=Privacy())


def test_a_literal_in_a_condition_is_in_the_value_that_is_chosen() -> None:
    chosen = "(SELECT IF({}, user_id, NULL) AS u FROM views) v JOIN clicks c ON c.user_id = v.u"
    sql = f"SELECT COUNT(*) AS n FROM {chosen}"
    assert refusal(sql.format("site = 'a'")).code == "privacy-comparison"
    assert look(sql.format("site = age")).errors == []
    assert look(sql.format("site IS NULL")).errors == []


def test_a_column_that_was_filtered_by_a_literal_has_none_in_it() -> None:
    filtered = "SELECT postal FROM places WHERE region = 'north'"
    assert look(f"SELECT COUNT(*) AS n FROM views WHERE postal IN ({filtered})").errors == []
    chosen = filtered.replace("SELECT postal", "SELECT IF(region = 'north', postal, NULL) AS postal")
    assert look(f"SELECT COUNT(*) AS n FROM views WHERE postal IN ({chosen})").errors != []


def test_a_column_list_is_for_queries_and_values_alone() -> None:
    assert [each.code for each in look("SELECT x FROM places AS p (x, y, z)").errors] == ["unknown-column"]


def test_time_can_be_counted_with_intervals() -> None:
    sql = "SELECT COUNT(*) AS n FROM views WHERE at > at - INTERVAL '1' DAY"
    assert T.ask(sql) == [(2,)]
    assert [each.code for each in compile_(sql).notices] == ["interval"]


def test_metrics_of_level_none_are_never_emptied() -> None:
    tables = Tables()
    tables.put("views", crowd(1, each={"site": "s", "n": 7}))
    assert tables.seen("SELECT site, SUM(n) AS n FROM views GROUP BY 1", behavior="REMOVE_VALUES") == [
        (None, 7)
    ]
