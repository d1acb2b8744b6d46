from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb
import pytest
import yaml
from pydantic import ValidationError

from amci.kernel.errors import QualityError
from amci.lake.datasets.quality import QualityRule, rules
from amci.lake.loading.quality_check import QualityFinding, broken_rules

ORDERS = """
    SELECT * FROM (VALUES
        (1, 'a1',  DATE '2024-01-01',  1.50::DOUBLE, 'US', 5, 9, true,  TIMESTAMP '2024-01-01 10:00:00'),
        (2, 'a1',  DATE '2024-01-02',  0,            'GB', 7, 9, false, TIMESTAMP '2024-01-01 11:00:00'),
        (3, 'a1',  DATE '2024-01-01',  100,          'DE', 9, 3, NULL,  NULL),
        (4, NULL,  DATE '2024-01-01',  100.01,       NULL, 1, 1, true,  NULL),
        (5, NULL,  DATE '2024-01-01',  -1,           'US', 2, 1, true,  NULL),
        (6, 'b',   NULL,               NULL,         'us', 0, 0, true,  NULL)
    ) AS t(_row, order_id, "Order Day", cost, country, clicks, impressions, is_new, happened)
"""


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as con:
        con.execute(f"CREATE TABLE orders AS SELECT * REPLACE (_row::BIGINT AS _row) FROM ({ORDERS})")
        yield con


def rule(text: str) -> QualityRule:
    return QualityRule.model_validate(yaml.safe_load(text))


def found(con: duckdb.DuckDBPyConnection, text: str, rows: str = "orders") -> list[int] | None:
    """The ids of the rows that break the rule; None where it holds."""
    findings = broken_rules(con, rows, rules([rule(text)]), "_row")
    if not findings:
        return None
    (finding,) = findings
    assert finding.row_ids_sql
    ids = sorted(row for (row,) in con.execute(finding.row_ids_sql).fetchall())
    assert finding.count == len(ids)
    return ids


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("not_null: order_id", [4, 5]),
        ("not_null: [order_id, ORDER DAY]", [4, 5, 6]),
        ("not_null: clicks", None),
        ("unique: order_id", [2, 3]),
        ("unique: [order_id, order_day]", [3]),
        ("unique: [order_id, order_id]", [2, 3]),
        ("unique: _row", None),
        ("range: {column: cost, min: 0, max: 100}", [4, 5]),
        ("range: {column: cost, min: 0}", [5]),
        ("range: {column: cost, max: 0}", [1, 3, 4]),
        ("range: {column: clicks, min: 0.5, max: 7.5}", [3, 6]),
        ("range: {column: order day, max: 2024-01-01}", [2]),
        ("range: {column: order day, max: '2024-01-01'}", [2]),
        ("range: {column: order day, min: 2024-01-01 12:00:00}", [1, 3, 4, 5]),
        ("range: {column: happened, max: 2024-01-01 10:30:00}", [2]),
        ("range: {column: country, min: A, max: Z}", [6]),
        ("accepted_values: {column: country, values: [US, GB]}", [3, 6]),
        ("accepted_values: {column: order_id, values: [a1, b]}", None),
        ("accepted_values: {column: clicks, values: [0, 1, 2, 5, 7.0]}", [3]),
        ("accepted_values: {column: is_new, values: [true]}", [2]),
        ("accepted_values: {column: order day, values: [2024-01-01]}", [2]),
        ("sql: SELECT * FROM rows WHERE clicks > impressions", [3, 5]),
        ("sql: 'SELECT * FROM rows WHERE clicks > impressions;  '", [3, 5]),
        ("sql: FROM rows WHERE clicks > 100 -- none", None),
        ("sql: WITH m AS (SELECT max(cost) c FROM rows) SELECT rows.* FROM rows, m WHERE cost = c", [4]),
        ("sql: SELECT r._row FROM rows r, rows s WHERE r.country = s.country AND r._row > s._row", [5]),
        ("sql: SELECT a._row FROM rows b LEFT JOIN rows a ON a._row = b._row + 3", [4, 5, 6]),
    ],
)
def test_a_rule_finds_exactly_the_rows_that_break_it(
    con: duckdb.DuckDBPyConnection, text: str, broken: list[int] | None
) -> None:
    assert found(con, text) == broken


def test_the_sql_of_a_rule_sees_the_table_as_rows_whatever_its_name(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("CREATE VIEW rows AS SELECT * FROM orders WHERE _row > 3")
    con.execute('CREATE TEMP TABLE "od""d" AS SELECT * FROM orders WHERE _row < 4')
    text = "sql: SELECT * FROM rows WHERE clicks > impressions"
    assert found(con, text, "rows") == [5]
    assert found(con, text, 'od"d') == [3]


def test_numbers_may_stand_for_the_text_of_an_id(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("CREATE TABLE ids AS SELECT i::BIGINT AS _row, i::VARCHAR AS order_id FROM range(4) t(i)")
    assert found(con, "accepted_values: {column: order_id, values: [0, 2]}", "ids") == [1, 3]


@pytest.mark.parametrize(
    ("text", "is_broken"),
    [
        ("{}", False),
        ("{min: 6, max: 6}", False),
        ("{min: 7}", True),
        ("{max: 5}", True),
        ("{max: 0}", True),
    ],
)
def test_the_number_of_rows_is_bounded(con: duckdb.DuckDBPyConnection, text: str, is_broken: bool) -> None:
    findings = broken_rules(con, "orders", rules([rule(f"{{row_count: {text}, on_fail: fail}}")]), "_row")
    expected = QualityFinding(rule="row_count", on_fail="fail", count=6, row_ids_sql=None)
    assert findings == ([expected] if is_broken else [])


def test_only_broken_rules_are_found_in_their_order_with_what_to_do(con: duckdb.DuckDBPyConnection) -> None:
    specs = [
        rule("{unique: order_id, on_fail: quarantine_rows}"),
        rule("not_null: clicks"),
        rule("{not_null: order_id, name: has_order}"),
    ]
    findings = broken_rules(con, "orders", rules(specs), "_row")
    expected = [("unique_order_id", "quarantine_rows", 2), ("has_order", "warn", 2)]
    assert [(f.rule, f.on_fail, f.count) for f in findings] == expected


def test_names_are_derived_and_differ() -> None:
    texts = [
        "not_null: Order Id",
        "{not_null: clicks, name: not_null_order_id_2}",
        "not_null: order_id",
        "unique: [a, b]",
        "range: {column: cost, min: 1}",
        "sql: SELECT * FROM rows",
        "sql: SELECT * FROM rows",
        "{row_count: {min: 1}, name: twice}",
        "{row_count: {max: 9}, name: twice}",
    ]
    assert [made.name for made in rules([rule(text) for text in texts])] == [
        "not_null_order_id",
        "not_null_order_id_2",
        "not_null_order_id_3",
        "unique_a_b",
        "range_cost",
        "sql",
        "sql_2",
        "twice",
        "twice_2",
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("not_null: nope", "no column nope"),
        ("unique: [order_id, nope]", "no column nope"),
        ("range: {column: country, min: 1}", "column country is text"),
        ("range: {column: country, max: 0}", "column country is text"),
        ("accepted_values: {column: clicks, values: ['5']}", "column clicks is INTEGER, the rule has text"),
        ("range: {column: order day, min: soon}", "cannot be evaluated on these rows (ConversionException)"),
        ("sql: SELECT clicks FROM rows", "return the column _row"),
        ("sql: SELECT * FROM rows WHERE nope > 1", '"nope" not found'),
        ("sql: SELECT * FROM elsewhere", "elsewhere does not exist"),
    ],
)
def test_a_rule_that_cannot_be_checked_says_why(con: duckdb.DuckDBPyConnection, text: str, says: str) -> None:
    with pytest.raises(QualityError) as refused:
        found(con, f"{{name: mine, {text}}}" if not text.startswith("sql") else f"{text}\nname: mine")
    assert refused.value.rule == "mine"
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_no_value_gets_into_an_error(con: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(QualityError) as refused:
        found(con, "sql: SELECT * FROM rows WHERE order_id::INTEGER > 1")
    assert "a1" not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"not_null": "a", "unique": "b"},
        {"not_null": []},
        {"not_null": "a", "on_fail": "stop"},
        {"not_null": "a", "severity": 1},
        {"not_null": "a", "name": "../x"},
        {"range": {"column": "a"}},
        {"range": {"column": "a", "min": True}},
        {"range": {"column": "a", "max": float("inf")}},
        {"accepted_values": {"column": "a", "values": []}},
        {"accepted_values": {"column": "country", "values": ["US", False]}},
        {"row_count": {"min": 1}, "on_fail": "quarantine_rows"},
        {"row_count": {"min": -1}},
        {"sql": ""},
        {"sql": "SELECT ("},
        {"sql": "SELECT * FROM rows; SELECT * FROM rows"},
        {"sql": "DELETE FROM rows"},
        {"sql": "COPY rows TO 'x.csv'"},
        {"sql": "WITH gone AS (DELETE FROM rows RETURNING *) SELECT * FROM gone"},
        {"sql": "ATTACH 'x.db'"},
        {"sql": "SET threads = 1"},
    ],
)
def test_mistaken_rules_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        QualityRule.model_validate(given)


def test_a_rule_that_finds_rows_and_names_none_of_them_is_refused(con: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(QualityError, match="_row is NULL"):
        found(con, "{name: r, sql: 'SELECT * REPLACE (NULL AS _row) FROM rows WHERE cost < 0'}")
    assert found(con, "{name: r, sql: 'SELECT * REPLACE (NULL AS _row) FROM rows WHERE cost < -9'}") is None
