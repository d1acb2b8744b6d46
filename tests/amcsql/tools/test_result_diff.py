"""How the results of two versions of a query differ."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from amci.amcsql.privacy.thresholds import RedactedRow, Rule, TableRead
from amci.amcsql.tools.redaction import report
from amci.amcsql.tools.result_diff import Version, difference

ROWS = [("a", "TV", 10, 1.5), ("b", "TV", 20, 2.5), ("b", "PC", 30, None)]


def version(rows: Sequence[Sequence[Any]] = ROWS, **about: Any) -> Version:
    given = {
        "columns": ["campaign", "device", "n", "cost"],
        "keys": ["campaign", "device"],
        "sums": ["n", "cost"],
    }
    return Version(**{**given, **about}, rows=rows)


def test_the_same_rows_in_another_order_are_the_same() -> None:
    found = difference(version(), version(ROWS[::-1]))
    assert found.is_same
    assert found.rows == (3, 3)
    assert [(t.column, t.a, t.b, t.change) for t in found.totals] == [("n", 60, 60, 0), ("cost", 4.0, 4.0, 0)]


def test_values_that_changed_are_found_by_their_key() -> None:
    found = difference(version(), version([("a", "TV", 15, 1.5), *ROWS[1:]]))
    (cell,) = found.changed
    assert (cell.key, cell.column, cell.a, cell.b) == ({"campaign": "a", "device": "TV"}, "n", 10, 15)
    assert not found.is_same
    assert found.totals[0].change == pytest.approx(5 / 60)


def test_rows_of_one_side_only_are_found() -> None:
    found = difference(version(ROWS[:2]), version([*ROWS[1:]]))
    assert found.rows_only_in_a == [{"campaign": "a", "device": "TV", "n": 10, "cost": 1.5}]
    assert [row["device"] for row in found.rows_only_in_b] == ["PC"]
    assert found.changed == []


@pytest.mark.parametrize(
    ("a", "b", "is_same"),
    [
        (1.0, 1.0 + 1e-13, True),
        (1.0, 1.001, False),
        (Decimal("2.50"), 2.5, True),
        (None, 0, False),
        (None, None, True),
        ([1, 2], [1, 2], True),
        ([1, 2], [2, 1], False),
        ({"x": 1}, {"x": 1}, True),
        ("1", 1, False),
    ],
)
def test_values_are_the_same_where_people_would_say_so(a: Any, b: Any, is_same: bool) -> None:
    one, other = (version([("k", "TV", value, 1)], sums=[]) for value in (a, b))
    assert difference(one, other).is_same == is_same


def test_columns_of_one_side_only_are_named() -> None:
    wider = version(
        [(*row, 7) for row in ROWS], columns=["campaign", "device", "n", "cost", "reach"], sums=["n", "reach"]
    )
    found = difference(version(), wider)
    assert (found.columns_only_in_a, found.columns_only_in_b) == ([], ["reach"])
    assert [t.column for t in found.totals] == ["n"]
    assert not found.is_same
    assert (found.changed, found.rows_only_in_a) == ([], [])


def test_a_key_that_does_not_tell_rows_apart_lets_whole_rows_be_compared() -> None:
    coarse = {"keys": ["campaign"]}
    found = difference(version(**coarse), version([*ROWS[:2], ("b", "PC", 31, None)], **coarse))
    assert not found.is_matched
    assert [row["n"] for row in found.rows_only_in_a] == [30]
    assert [row["n"] for row in found.rows_only_in_b] == [31]


def test_equal_rows_are_counted_not_only_seen() -> None:
    row = ("a", "TV", 1, 1)
    found = difference(version([row, row], keys=[]), version([row, row, row], keys=[]))
    assert (len(found.rows_only_in_a), len(found.rows_only_in_b)) == (0, 1)


def test_results_of_one_row_need_no_key() -> None:
    one, other = (version([(n,)], columns=["n"], keys=[], sums=["n"]) for n in (4, 5))
    found = difference(one, other)
    assert found.is_matched
    assert [(cell.key, cell.a, cell.b) for cell in found.changed] == [({}, 4, 5)]


def test_a_total_of_nothing_has_no_change() -> None:
    found = difference(version([]), version())
    assert [(t.a, t.change) for t in found.totals] == [(0, None), (0, None)]


def test_what_was_hidden_is_told_for_both() -> None:
    rules: tuple[Rule, ...] = ("distinct", "effective")
    rows = [
        RedactedRow(
            values={"campaign": "a"}, rule=rule, read=TableRead("t", 1, 1), count=1, limit=2, required=2,
            columns=["campaign"],
        )
        for rule in rules
    ]  # fmt: skip
    one, other = (
        version(report=report(rows[:count], untouched=0, is_emptied=False, columns=[])) for count in (1, 2)
    )
    found = difference(one, other)
    assert found.hidden == (1, 2)
    assert found.hidden_by == {"'t' users < 2 required": (1, 1), "'t' effective users < 2 required": (0, 1)}
    assert found.is_same
