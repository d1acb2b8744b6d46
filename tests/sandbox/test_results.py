"""AMC's CSV (amc-api 2.3) and its names of types (amc-api 2.2)."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest

from amci.sandbox.results import Format, csv, data_type, format_of, output_columns

AMCS = Format()


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (None, ""),
        ("", ""),
        ("plain", "plain"),
        ("with, comma", '"with, comma"'),
        ('say "hi"', '"say \\"hi\\""'),
        ("two\nlines", '"two\nlines"'),
        (True, "true"),
        (False, "false"),
        (12, "12"),
        (34.58, "34.58"),
        (Decimal("12.3400"), "12.3400"),
        (Decimal("1E+2"), "100"),
        (date(2026, 10, 1), "2026-10-01"),
        (datetime(2022, 10, 25, 22, 11), "2022-10-25T22:11:00.000Z"),  # noqa: DTZ001 - as DuckDB gives it
        (["a", "b"], '"[a, b]"'),
        ({"d": "Phone", "c": "US-DMA444"}, '"[Phone, US-DMA444]"'),
        ([{"n": 1, "c": "Campaign A"}, {"n": 2, "c": None}], '"[[1, Campaign A], [2, null]]"'),
        ([], "[]"),
    ],
)
def test_a_value_is_printed_as_amc_prints_it(value: Any, cell: str) -> None:
    assert csv(["a", "b"], [[value, 1]], AMCS).decode() == f"a,b\n{cell},1\n"


def test_no_rows_give_the_header_alone_in_lower_case() -> None:
    assert csv(["Campaign", "PERCENTILE10_click_cost"], [], AMCS) == b"campaign,percentile10_click_cost\n"


def test_the_format_can_be_chosen() -> None:
    chosen = format_of({"separatorCharacter": ";", "quoteCharacter": "'", "escapeCharacter": "'"})
    assert csv(["a", "b"], [["it's; so", 1]], chosen).decode() == "a;b\n'it''s; so';1\n"


@pytest.mark.parametrize("asked", [None, "CSV", "PARQUET", {}])
def test_a_format_amc_does_not_know_is_its_own(asked: Any) -> None:
    assert format_of(asked) == AMCS


@pytest.mark.parametrize(
    ("sql_type", "said"),
    [
        ("VARCHAR", "STRING"),
        ("HUGEINT", "LONG"),
        ("DECIMAL(38,4)", "DECIMAL"),
        ("TIMESTAMP", "TIMESTAMP"),
        ("STRUCT(a VARCHAR)", "STRING"),
        ("BIGINT[]", {"type": "ARRAY", "elementDataType": "LONG", "elementNullable": False}),
    ],
)
def test_types_have_amcs_names(sql_type: str, said: Any) -> None:
    assert data_type(sql_type) == said
    assert output_columns(["A"], [sql_type], ["METRIC"]) == [
        {"columnType": "METRIC", "dataType": said, "name": "a"}
    ]
