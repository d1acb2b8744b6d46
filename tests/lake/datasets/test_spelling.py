"""Numbers and dates as people write them mean what they say, or are left as text."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings, strategies as st
from pydantic import ValidationError

from amci.lake.catalog.casts import cast_sql, checked_cast_sql, fits_sql
from amci.lake.catalog.inference import Clues, infer
from amci.lake.catalog.kinds import ColumnKind, DecimalKind, Kind
from amci.lake.datasets.dataset import Dataset
from amci.lake.datasets.spelling import DateFormat, Spelling

MONEY = DecimalKind(18, 4)
EURO = Spelling(decimal=",", thousands=".", currency="€", percent=True, parentheses=True)
SIGNED = Spelling(decimal=",", thousands=".", currency="€", percent=True, signs=True)
DOLLAR = Spelling(thousands=",", currency="$", percent=True, parentheses=True)
SPACED = Spelling(decimal=",", thousands=" ", currency="EUR")
SAP = Spelling(thousands=",", currency="EUR", percent=True, trailing=True)
SWISS = Spelling(thousands="'", nulls=("--", "n/a"))


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'Asia/Tokyo'")
        yield con


def read(con: duckdb.DuckDBPyConnection, kind: ColumnKind, how: Spelling, texts: list[str]) -> list[Any]:
    """What each text means; `...` if it does not fit. The checked cast says the same."""
    fits, cast = fits_sql(kind, "v", how), cast_sql(kind, "v", how)
    checked = checked_cast_sql(kind, "v", "v", how)
    asked = f"SELECT {fits} AS fits, CASE WHEN fits THEN {cast} END, CASE WHEN fits THEN {checked} END"
    rows = con.execute(f"{asked} FROM (SELECT unnest(?::VARCHAR[]) AS v)", [texts]).fetchall()
    assert all(value == same for _, value, same in rows)
    return [value if is_fit else ... for is_fit, value, _ in rows]


@pytest.mark.parametrize(
    ("how", "texts"),
    [
        (EURO, {"1.234": 1234, "12,50": "12.5", "-1.234.567,5": "-1234567.5", "1.003,20 €": "1003.2"}),
        (EURO, {"€ -3": -3, "(12,5 %)": "-0.125", "(1.000)": -1000, "0,5%": "0.005", "-150 %": "-1.5"}),
        (EURO, dict.fromkeys(["1.23", "1.2345", "1,2,3", "12.50", "007", "0.123", "1234.567", "$3", "--3"])),
        (EURO, dict.fromkeys(["(-3)", "-(3)", "3€€", "€3€", "3-", "%", "€", "()", "1.234.56", " 1", "1,5,"])),
        (
            DOLLAR,
            {"$1,234.50": "1234.5", "($3.00)": -3, "-1": -1, "998": 998, "$-3": -3, "-$3": -3, "$ 5": 5},
        ),
        (DOLLAR, dict.fromkeys(["1,23", "1,2345", "1.234,50", "1 234", "0,123", "1,234,56", "€3", "1.2.3"])),
        (
            SIGNED,
            {"+5": 5, "−5": -5, "+1.234,5 %": "12.345", "€ −3": -3, "−€3": -3, "+,5": "0.5", "-0,5": "-0.5"},
        ),
        (SIGNED, dict.fromkeys(["++5", "+-5", "5+", "5−", "+", "+1.23", "-−5", "+€+5"])),
        (SPACED, {"1 234,50": "1234.5", "1\u00a0234 EUR": 1234, "1\u202f000": 1000, "EUR 7": 7, "": None}),
        (SPACED, dict.fromkeys(["12 34", "1  234", "7 EU", "EURO 7", "1.5", "1 234 "])),
        (SAP, {"5.00-": -5, "1,234.50-": "-1234.5", "-3": -3, "0.00-": 0, "5 %-": "-0.05", "7": 7}),
        (SAP, {"5 EUR-": -5, "5-EUR": -5, "5- EUR": -5, "EUR 5-": -5, "EUR -5": -5}),
        (SAP, dict.fromkeys(["-5-", "5--", "-", "5 -", "(5-)", "(5)", "5-3", "007-", "EUR-", "--5"])),
        (SWISS, {"1'234.5": "1234.5", "--": None, "n/a": None, "": None, "-7": -7}),
        (SWISS, dict.fromkeys(["N/A", "---", "1'23", "12'34"])),
        (Spelling(), {"1.234": "1.234", "-0.5": "-0.5"}),
        (Spelling(), dict.fromkeys(["1,234", "12,50", "$3", "(3)", "3-", "3%", "1 234"])),
    ],
)
def test_a_number_as_people_write_it(
    con: duckdb.DuckDBPyConnection, how: Spelling, texts: dict[str, object]
) -> None:
    words = {"", *how.nulls}
    expected = [
        None if text in words else ... if value is None else Decimal(str(value))
        for text, value in texts.items()
    ]
    assert read(con, MONEY, how, list(texts)) == expected
    doubles = [value if value in (None, ...) else float(value) for value in expected]
    assert read(con, Kind.DOUBLE, how, list(texts)) == doubles
    whole = [value if value in (None, ...) or value % 1 == 0 else ... for value in expected]
    assert read(con, Kind.BIGINT, how, [t for t, v in zip(texts, whole, strict=True) if v is not ...]) == [
        value for value in whole if value is not ...
    ]


@given(
    st.lists(st.decimals(-(10**12), 10**12, places=2), min_size=1, max_size=20),
    st.sampled_from([EURO, DOLLAR, SPACED, SWISS, SAP]),
    st.booleans(),
    st.data(),
)
@settings(max_examples=15, deadline=None)
def test_what_is_written_is_what_is_read(
    con: duckdb.DuckDBPyConnection, amounts: list[Decimal], how: Spelling, grouped: bool, data: Any
) -> None:
    texts = []
    for amount in amounts:
        text = f"{abs(amount):,.2f}" if grouped else f"{abs(amount):.2f}"
        text = text.replace(",", "T").replace(".", how.decimal).replace("T", how.thousands)
        text = data.draw(st.sampled_from([text, how.currency + text, f"{text} {how.currency}".strip()]))
        if amount < 0:
            if (how.parentheses or how.trailing) and data.draw(st.booleans()):
                text = f"({text})" if how.parentheses else f"{text}-"
            else:
                text = f"-{text}"
        texts.append(text)
    assert read(con, MONEY, how, texts) == amounts
    assert read(con, Kind.DOUBLE, how, texts) == [float(amount) for amount in amounts]


@given(st.lists(st.text("0123456789.,'-()%€$ E\u00a0e", max_size=9), min_size=20, max_size=60))
@settings(max_examples=6, deadline=None)
def test_no_text_is_read_as_a_number_with_other_digits(
    con: duckdb.DuckDBPyConnection, texts: list[str]
) -> None:
    for how in (EURO, DOLLAR, SPACED, SWISS, SAP):
        for text, value in zip(texts, read(con, MONEY, how, texts), strict=True):
            if value in (None, ...):
                continue
            digits = "".join(c for c in text if c.isdigit())
            assert digits.strip("0") == str(abs(value)).replace(".", "").strip("0")
            assert (value < 0) == (any(c in "-(" for c in text) and value != 0)
            *whole, last = text.replace("%", "").replace("€", "").rstrip(") ").split(how.decimal)
            fraction = len(last.rstrip("0")) if whole else 0
            assert -value.normalize().as_tuple().exponent <= fraction + 2 * ("%" in text)


GERMAN = tuple(map(DateFormat, ("%d.%m.%Y", "%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M %Z")))
EITHER = tuple(map(DateFormat, ("%d/%m/%Y", "%m/%d/%Y")))
WORDS = tuple(map(DateFormat, ("%a, %d %b %Y", "%d%m%Y", "%B %d, %Y %I:%M %p")))


@pytest.mark.parametrize(
    ("kind", "formats", "texts"),
    [
        (Kind.DATE, GERMAN, {"30.03.2026": dt.date(2026, 3, 30), "3.4.2026": dt.date(2026, 4, 3)}),
        (Kind.DATE, GERMAN, {"2026-03-30": dt.date(2026, 3, 30), "": None}),
        (
            Kind.DATE,
            GERMAN,
            dict.fromkeys(["3.4.26", "31.02.2026", "infinity", "epoch", " 3.4.2026", "3.4.2026x"], ...),
        ),
        (Kind.TIMESTAMP, GERMAN, {"30.03.2026 07:49:55": dt.datetime(2026, 3, 30, 7, 49, 55)}),  # noqa: DTZ001
        (Kind.TIMESTAMP, GERMAN, {"30.03.2026": dt.datetime(2026, 3, 30), "30.03.2026 24:00:00": ...}),  # noqa: DTZ001
        (Kind.TIMESTAMPTZ, GERMAN, {"30.03.2026 07:49 UTC": dt.datetime(2026, 3, 30, 7, 49, tzinfo=dt.UTC)}),
        (Kind.TIMESTAMPTZ, GERMAN, {"30.03.2026 07:49 PST": ..., "30.03.2026 07:49": ...}),
        (Kind.DATE, EITHER, {"13/02/2026": dt.date(2026, 2, 13), "02/13/2026": dt.date(2026, 2, 13)}),
        (Kind.DATE, EITHER, {"02/02/2026": dt.date(2026, 2, 2), "01/02/2026": ...}),
        (
            Kind.DATE,
            WORDS,
            {"Mon, 5 Jan 2026": dt.date(2026, 1, 5), "Tue, 5 Jan 2026": ..., "05012026": dt.date(2026, 1, 5)},
        ),
        (Kind.DATE, WORDS, {"1112026": ..., "5012026": ...}),
        (Kind.TIMESTAMP, WORDS, {"march 5, 2026 1:05 pm": dt.datetime(2026, 3, 5, 13, 5)}),  # noqa: DTZ001
    ],
)
def test_a_date_as_people_write_it(
    con: duckdb.DuckDBPyConnection, kind: Kind, formats: tuple[DateFormat, ...], texts: dict[str, Any]
) -> None:
    assert read(con, kind, Spelling(dates=formats), list(texts)) == list(texts.values())


def test_columns_are_of_people_only_where_they_become_numbers_or_dates(
    con: duckdb.DuckDBPyConnection,
) -> None:
    how = Spelling(decimal=",", thousands=".", nulls=("--",), dates=GERMAN)
    rows = """(SELECT * FROM (VALUES
        ('1.234', '12,5', '1.23', '30.03.2026', '--', '1.234', '--', 'x'),
        ('--', '7', '1.234', '--', '--', '--', '', '--')) t(n, f, mixed, day, none, x_id, gap, word))"""
    columns = ["n", "f", "mixed", "day", "none", "x_id", "gap", "word"]
    kinds = infer(con, rows, columns, Clues(spelling=how))
    assert kinds == {
        "n": Kind.BIGINT,
        "f": Kind.DOUBLE,
        "mixed": Kind.VARCHAR,
        "day": Kind.DATE,
        "none": Kind.NOTHING,
        "x_id": Kind.VARCHAR,
        "gap": Kind.NOTHING,
        "word": Kind.VARCHAR,
    }
    casts = ", ".join(cast_sql(kind, column, how) for column, kind in kinds.items())
    day = dt.date(2026, 3, 30)
    assert con.execute(f"SELECT {casts} FROM {rows}").fetchall() == [
        (1234, 12.5, "1.23", day, None, "1.234", None, "x"),
        (None, 7.0, "1.234", None, None, None, "", None),
    ]
    assert infer(con, rows, ["n"], Clues(spelling=how, values={"*"})) == {"n": Kind.DOUBLE}
    assert infer(con, rows, ["n"], Clues(spelling=how, values={"*"}, quoted={"n"})) == {"n": Kind.VARCHAR}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"thousands": "."}, "decimal and thousands should differ; both are '.'"),
        ({"currency": "US 1"}, "should be a sign or a code such as $, € or EUR"),
        ({"dates": ["%d.%m"]}, "'%d.%m' names no year"),
        ({"dates": ["%Q %Y-%m-%d"]}, "'%Q %Y-%m-%d': %Q is not one of strptime's directives"),
        ({"dates": ["%Y-%m-%d %I:%M"]}, "has hours of half a day, but no %p"),
        ({"dates": []}, "should be typed, text or formats"),
    ],
)
def test_a_spelling_that_cannot_be_is_refused_in_a_sentence(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Dataset.model_validate({"dataset": "own", **fields})
    assert says in str(refused.value)
