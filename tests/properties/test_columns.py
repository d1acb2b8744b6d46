"""The type rules against a second, plain Python telling of the same rules."""

from __future__ import annotations

import itertools
import re
import struct
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from math import isnan
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings, strategies as st

from amci.lake.catalog.casts import UNFIT, cast_sql, checked_cast_sql, fits_sql, widen_sql, widening_check_sql
from amci.lake.catalog.inference import Clues, infer
from amci.lake.catalog.kinds import ColumnKind, DecimalKind, Kind, join, name_rule
from amci.lake.datasets.spelling import Spelling
from amci.lake.formats import FileFormat, Reading

CON = duckdb.connect()
NUMBERS = (Kind.BOOLEAN, Kind.BIGINT, Kind.DOUBLE)
DATES = (Kind.DATE, Kind.TIMESTAMP, Kind.TIMESTAMPTZ)
DECIMALS = tuple(DecimalKind(*sizes) for sizes in ((18, 2), (38, 0), (2, 2), (5, 1), (20, 0), (38, 30)))
TYPED = (*NUMBERS, *DECIMALS, *DATES, Kind.TIME, Kind.UUID)
EXACT = 2**53


# -- the rules once more, without SQL ------------------------------------------------------------------------


def value(kind: ColumnKind, text: str, *, special: bool = False) -> Any:  # noqa: C901, PLR0911
    """What the text means as this kind; ValueError where it is not one."""
    match kind:
        case DecimalKind(precision, scale):
            parts = re.fullmatch(r"-?(0|[1-9][0-9]*)?(?:\.([0-9]+))?", text) or reject()
            whole, fraction = (parts[1] or "0").lstrip("0"), (parts[2] or "").rstrip("0")
            is_one = parts[1] or (parts[2] and scale)
            return (
                Decimal(text)
                if is_one and len(whole) <= precision - scale and len(fraction) <= scale
                else reject()
            )
        case Kind.TIME:
            return clock_time(f"2000-01-01T{text}").time()
        case Kind.UUID:
            return UUID(text) if str(UUID(text)) == text else reject()
        case Kind.BOOLEAN:
            return {"true": True, "false": False}[text.lower()] if text.isascii() else reject()
        case Kind.BIGINT:
            whole, _, zeros = text.partition(".")
            number = int(whole)
            canonical = str(number) == whole and ("." not in text or (zeros and set(zeros) == {"0"}))
            return number if canonical and -(2**63) <= number < 2**63 else reject()
        case Kind.DOUBLE:
            return double(text, special=special)
        case Kind.DATE:
            return date.fromisoformat(text) if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text) else reject()
        case Kind.TIMESTAMP:
            if len(text) == 10:
                return datetime.combine(value(Kind.DATE, text), datetime.min.time())
            return clock_time(text.removesuffix("Z"))
        case _:
            parts = re.fullmatch(r"(.*)([-+])([0-9]{2})(?::([0-9]{2}))?", text) or reject()
            hours, minutes = int(parts[3]), int(parts[4] or 0)
            if hours > 15 or minutes > 59:
                reject()
            offset = timedelta(hours=hours, minutes=minutes) * (1 if parts[2] == "+" else -1)
            return clock_time(parts[1]).replace(tzinfo=timezone(offset)).astimezone(UTC)


def double(text: str, *, special: bool) -> float:
    if special and re.fullmatch(r"(?i)nan|-?inf(inity)?", text):
        return float(text)
    if not re.fullmatch(r"-?((0|[1-9][0-9]*)|(0|[1-9][0-9]*)?\.[0-9]+)([eE][-+]?[0-9]+)?", text):
        reject()
    mantissa, _, exponent = text.lower().partition("e")
    if not special and exponent.isdigit() and "." not in mantissa:  # 1E5 is a code
        reject()
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    significant = (whole + fraction.rstrip("0")).lstrip("0")
    number = float(text)
    if not significant:
        return number
    if len(significant) > 17 or not 2.2250738585072014e-308 <= abs(number) < float("inf"):
        reject()
    if not exponent and abs(number) >= EXACT and abs(Decimal(text)) != EXACT:
        reject()
    return number


def clock_time(text: str) -> datetime:
    shape = r"(.{10})[T ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,6}))?)?"
    parts = re.fullmatch(shape, text) or reject()
    day = value(Kind.DATE, parts[1])
    micros = int((parts[5] or "0").ljust(6, "0"))
    return datetime(day.year, day.month, day.day, int(parts[2]), int(parts[3]), int(parts[4] or 0), micros)  # noqa: DTZ001


def reject() -> Any:
    raise ValueError


def is_fit(kind: ColumnKind, text: str, *, special: bool = False) -> bool:
    if text == "" or kind is Kind.VARCHAR:
        return True
    if kind is Kind.NOTHING:
        return False
    if kind.is_array:
        return is_array(kind, text)
    try:
        value(kind, text, special=special)
    except (ValueError, KeyError, OverflowError):
        return False
    return True


def is_array(kind: Kind, text: str) -> bool:
    if not re.fullmatch(r"(?s)\[.*\]", text):
        return False
    inner = text[1:-1]
    if kind is Kind.TEXTS:
        return not inner.startswith("[")
    if kind is Kind.ROWS:
        return bool(re.fullmatch(r"\[[^\[\]]*\](, \[[^\[\]]*\])*", inner))
    of = Kind.BIGINT if kind is Kind.INTEGERS else Kind.DOUBLE
    return inner == "" or all(e == "null" or (e != "" and is_fit(of, e)) for e in inner.split(", "))


def narrowest(
    texts: list[str | None], column: str = "v", *, is_quoted: bool = False, dates: bool = True
) -> Kind:
    rule = name_rule(column)
    if rule is Kind.VARCHAR:
        return rule
    if rule is Kind.DOUBLE and not is_quoted:
        ladder: tuple[Kind, ...] = (Kind.DOUBLE,)
    else:
        ladder = (Kind.NOTHING, *(() if is_quoted else NUMBERS), *(DATES if dates else ()))
    special = rule is Kind.DOUBLE
    return next((k for k in ladder if all(is_fit(k, t, special=special) for t in texts if t)), Kind.VARCHAR)


# -- texts that look like something --------------------------------------------------------------------------

spellings = """
    0 -0 -0.0 1.0 -3.00 007 007.5 +1 1_000 0x1F 1. .5 -.5 1e3 1e+3 12e-2 1.5E3 .5e3 1.5E-3
    NaN nan Infinity -inf inf -nan ١٢
    9223372036854775807 9223372036854775808 -9223372036854775808 -9223372036854775809.0
    9007199254740992 9007199254740993 9007199254740992.0 9007199254740992.4 9007199254740991.9
    0.30000000000000004 0.300000000000000041 123456789012345678.5 1e400 1e-400 4.9E-324 0e999
    1.7976931348623157e308 2.2250738585072014E-308 true TRUE False t yes
    2024-02-29 2023-02-29 1900-02-29 2000-02-29 0000-01-01 0000-02-29 0001-01-01 9999-12-31 2024-1-1
    infinity epoch 2024-01-01T24:00:00 2024-01-01T23:59:60 2024-01-01T10:11Z 2024-01-01T10:11:12z
    2024-01-01T10:11:12.5+02 2024-01-01T10:11-02:30 2024-01-01T10:11:12+16 2024-01-01T10:11+15:59
    2024-01-01T10:11:12+02:60 10:11 10:11:12 23:59:59.999999 24:00 10:60 1:02 12.5 0.10 .10 999.99 1000.9
    9999999999999999.99 99999999999999999.99 123456789012345678901234567890.12345678
    5f3c1a90-0b1c-4d2e-8f3a-1234567890ab 5F3C1A90-0B1C-4D2E-8F3A-1234567890AB
    9999-12-31T23:59:59-00:01 0001-01-01T00:00+00:01 9999-12-31T23:59:59+00:00
"""
SPELLINGS = [
    *spellings.split(),
    *("", " 1", "1 ", "1\n", "2024-01-01\n", "\x00", "2024-01-01T10:11:12 UTC", "2024-01-01 10:11:12.1"),
    *("0." + "0" * 25 + "1", "0." + "0" * 320 + "1", "1." + "0" * 30, "1" + "0" * 30, "1" + "0" * 30 + "e2"),
]
number_like = r"-?[0-9]{0,18}(\.[0-9]{0,20})?([eE][-+]?[0-9]{1,3})?"
naive = st.datetimes().map(lambda at: at.isoformat())
aware = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-9, minutes=-30))]))
texts = st.one_of(
    st.sampled_from(SPELLINGS),
    st.text(max_size=6),
    st.booleans().map(str),
    st.integers(-(2**65), 2**65).map(str),
    st.integers().map(lambda n: f"{n}.0"),
    st.floats().map(repr),
    st.floats().map(lambda number: f"{number:.14E}"),
    st.decimals(allow_nan=False, allow_infinity=False, places=4).map(str),
    st.from_regex(number_like, fullmatch=True, alphabet="-+.eE0123456789"),
    st.dates().map(str),
    st.lists(st.sampled_from(["1", "-2.0", "0.5", "a", "null", "[1, a]", "x [y]", ""]))
    .map(", ".join)
    .map("[{}]".format),
    naive,
    naive.map(lambda text: text.replace("T", " ")[:16]),
    naive.map(lambda text: f"{text}Z"),
    aware.map(lambda at: at.isoformat()),
    aware.map(lambda at: f"{at:%Y-%m-%dT%H:%M}{at.isoformat()[-6:]}"),
)
alike = st.one_of(
    st.lists(st.one_of(st.none(), texts), max_size=12),
    st.lists(st.integers(-(2**54), 2**54).map(str), max_size=5),
    st.lists(st.one_of(st.floats(allow_nan=False).map(repr), st.integers(-9, 9).map(str)), max_size=5),
    st.lists(st.one_of(naive, st.dates().map(str)), max_size=5),
    st.lists(aware.map(lambda at: at.isoformat()), max_size=5),
    st.lists(st.sampled_from(["", "true", "FALSE", None]), max_size=5),
)


def rows(values: list[str | None], column: str = "v") -> str:
    CON.execute(f"CREATE OR REPLACE TEMP TABLE texts AS SELECT unnest(?::VARCHAR[]) AS {column}", [values])
    return "texts"


@given(st.lists(texts, min_size=20, max_size=60), st.booleans())
@example(values=SPELLINGS, special=False)
@example(values=SPELLINGS, special=True)
@settings(max_examples=30, deadline=None)
def test_sql_and_python_agree_on_what_fits(values: list[str], special: bool) -> None:
    rows(values)
    for kind in (*Kind, *DECIMALS):
        found = CON.execute(
            f"SELECT v, {fits_sql(kind, 'v', Spelling(not_finite=special, bare_exponents=special))} FROM texts"
        ).fetchall()
        assert found == [(text, is_fit(kind, text, special=special)) for text in values], kind


@given(st.lists(texts, min_size=20, max_size=60))
@example(values=SPELLINGS)
@settings(max_examples=30, deadline=None)
def test_a_cast_never_loses_a_value(values: list[str]) -> None:
    for kind in TYPED:
        fitting = [text for text in values if is_fit(kind, text)]
        rows(list(fitting))
        casts = f"{cast_sql(kind, 'v')}, {checked_cast_sql(kind, 'v', 'v')}"
        for text, got, checked in CON.execute(f"SELECT v, {casts} FROM texts").fetchall():
            assert got == checked
            if text == "":
                assert got is None
                continue
            expected = value(kind, text)
            assert type(got) is type(expected)
            assert got == expected
            if kind is Kind.DOUBLE and len(re.sub(r"[eE].*|[^0-9]", "", text)) <= 15:
                assert Decimal(repr(got)) == Decimal(text)


@given(texts)
@settings(max_examples=30, deadline=None)
def test_an_optimistic_cast_refuses_what_does_not_fit_and_does_not_repeat_it(text: str) -> None:
    rows([None, "", text])
    for kind in TYPED:
        if is_fit(kind, text):
            continue
        with pytest.raises(duckdb.InvalidInputException) as refused:
            CON.execute(f"SELECT {checked_cast_sql(kind, 'v', 'order total')} FROM texts").fetchall()
        assert str(refused.value) == f"Invalid Input Error: {UNFIT}order total"


def test_join_is_a_least_upper_bound() -> None:
    kinds: tuple[ColumnKind, ...] = (*Kind, *DECIMALS, DecimalKind(38, 38), DecimalKind(10, 0))
    for a, b, c in itertools.product(kinds, repeat=3):
        assert join(a, b) == join(b, a)
        assert join(join(a, b), c) == join(a, join(b, c))
    for a in kinds:
        assert join(a, a) == join(a, Kind.NOTHING) == a
        assert join(a, Kind.VARCHAR) is Kind.VARCHAR


@given(alike, st.sampled_from(["v", "cost", "order_id"]), st.booleans(), st.booleans(), st.randoms())
@settings(max_examples=30, deadline=None)
def test_infer_finds_the_narrowest_kind_in_any_order(
    values: list[str | None], column: str, is_quoted: bool, dates: bool, random: Any
) -> None:
    expected = {column: narrowest(values, column, is_quoted=is_quoted, dates=dates)}
    clues = Clues(quoted=(column,) if is_quoted else (), dates=dates)
    assert infer(CON, rows(values, column), [column], clues) == expected
    random.shuffle(values)
    assert infer(CON, rows(values, column), [column], clues) == expected


@given(alike, alike)
@settings(max_examples=50, deadline=None)
def test_what_comes_after_the_first_rows_counts_as_much(
    first: list[str | None], later: list[str | None]
) -> None:
    CON.execute("CREATE OR REPLACE TEMP TABLE first AS SELECT unnest(?::VARCHAR[]) AS v", [first or [None]])
    CON.execute("CREATE OR REPLACE TEMP TABLE later AS SELECT unnest(?::VARCHAR[]) AS v", [later])
    many = "(SELECT v, v AS w, v AS x_rate FROM (SELECT v FROM first, range(3000) UNION ALL FROM later))"
    found = infer(CON, many, ["v", "w", "x_rate"], Clues(quoted={"w"}))
    assert found == {
        "v": narrowest(first + later),
        "w": narrowest(first + later, is_quoted=True),
        "x_rate": narrowest(first + later, "x_rate"),
    }


small = st.integers(-9, 9).map(str)
numbers = st.lists(st.one_of(small, st.integers(EXACT - 2, EXACT + 2).map(str)), max_size=3)
fractions = st.lists(st.one_of(small, st.just("0.5")), max_size=3)
pairs = st.one_of(
    st.tuples(alike, alike),
    st.tuples(numbers, fractions),
    st.tuples(st.lists(st.dates().map(str), max_size=3), st.lists(naive, max_size=3)),
)


@given(pairs)
@settings(max_examples=50, deadline=None)
def test_batches_joined_give_what_all_rows_give(batches: tuple[list[str | None], list[str | None]]) -> None:
    a, b = batches
    kinds = [infer(CON, rows(batch), ["v"])["v"] for batch in (a, b)]
    together = join(*kinds)
    for batch, kind in zip((a, b), kinds, strict=True):
        check = widening_check_sql(kind, together, "v")
        stored = f"(SELECT {cast_sql(kind, 'v')} AS v FROM {rows(batch)})"
        if check and CON.execute(f"SELECT {check} FROM {stored}").fetchone() != (0,):
            together = Kind.VARCHAR
            break
    assert infer(CON, rows(a + b), ["v"])["v"] is together


@given(alike, st.sampled_from(Kind))
@settings(max_examples=30, deadline=None)
def test_widening_keeps_every_value(values: list[str | None], other: Kind) -> None:
    have = infer(CON, rows(values), ["v"])["v"]
    want = join(have, other)
    CON.execute(f"CREATE OR REPLACE TEMP TABLE stored AS SELECT {cast_sql(have, 'v')} AS v FROM texts")
    check = widening_check_sql(have, want, "v")
    if check and CON.execute(f"SELECT {check} FROM stored").fetchone() != (0,):
        want = Kind.VARCHAR
    found = CON.execute(f"SELECT v, {widen_sql(have, want, 'v')} FROM stored").fetchall()
    for before, after in found:
        if before is None or have.sql == "VARCHAR":
            assert after == (before if want.sql == "VARCHAR" else None)
        elif want is Kind.VARCHAR:
            assert (float(after) if have is Kind.DOUBLE else value(have, after)) == before
        elif (have, want) == (Kind.DATE, Kind.TIMESTAMP):
            assert after == datetime.combine(before, datetime.min.time())
        else:
            assert after == before


def decimals(precision: int, scale: int) -> st.SearchStrategy[tuple[pa.DataType, list[Decimal | None]]]:
    most = 10**precision - 1
    values = st.integers(-most, most).map(lambda n: Decimal(f"{n}e-{scale}"))
    return st.tuples(
        st.just(pa.decimal128(precision, scale)), st.lists(st.one_of(st.none(), values), min_size=1)
    )


stated = st.one_of(
    *(decimals(*sizes) for sizes in ((18, 2), (38, 0), (38, 38), (5, 1), (30, 12))),
    st.tuples(st.just(pa.float64()), st.lists(st.floats(), min_size=1)),
    st.tuples(st.just(pa.float32()), st.lists(st.floats(width=32), min_size=1)),
    st.tuples(st.just(pa.uint64()), st.lists(st.integers(0, 2**64 - 1), min_size=1)),
    st.tuples(st.just(pa.int64()), st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1)),
    st.tuples(st.just(pa.time64("us")), st.lists(st.times(), min_size=1)),
)


@given(stated)
@settings(max_examples=40, deadline=None)
def test_what_parquet_states_comes_out_as_it_went_in(column: tuple[pa.DataType, list[Any]]) -> None:
    kind, values = column
    with TemporaryDirectory() as folder:
        pq.write_table(pa.table({"v": pa.array(values, kind)}), file := Path(folder) / "f.parquet")
        with Reading(file, FileFormat.PARQUET) as reading:
            texts = [text for batch in reading.batches() for text in batch.data["v"].to_pylist()]
    clues = Clues(stated={name: sql_type for (_, name), sql_type in reading.types.items()})
    found = infer(CON, rows(texts), ["v"], clues)["v"]
    cast = cast_sql(found, "v", clues.how("v"))
    CON.execute(f"CREATE OR REPLACE TEMP TABLE typed AS SELECT {cast} AS v FROM texts")
    read = CON.execute(f"SELECT v, {widen_sql(found, Kind.VARCHAR, 'v')} FROM typed").fetchall()
    if any(value is not None for value in values):
        assert found is not Kind.VARCHAR
    for value, text, (typed, back) in zip(values, texts, read, strict=True):
        if value is None or (isinstance(value, float) and isnan(value)):
            assert (typed is None) if value is None else isnan(typed)
            continue
        expected = float(text) if kind == pa.float32() else value
        again = time.fromisoformat(back) if isinstance(value, time) else type(value)(back)
        assert typed == again == expected
        assert kind != pa.float32() or struct.pack("f", typed) == struct.pack("f", value)
