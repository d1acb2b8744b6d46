from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from amci.lake.catalog import duck
from amci.lake.catalog.casts import (
    UNFIT,
    cast_sql,
    checked_cast_sql,
    fits_sql,
    is_in_place,
    widen_sql,
    widening_check_sql,
)
from amci.lake.catalog.inference import Clues, infer
from amci.lake.catalog.kinds import DecimalKind, Kind, join, name_rule
from amci.lake.datasets.spelling import Spelling


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as con:
        yield con


def is_fit(con: duckdb.DuckDBPyConnection, kind: Kind, text: str, *, special: bool = False) -> bool:
    sql = f"SELECT {fits_sql(kind, 'v', Spelling(not_finite=special))} FROM (SELECT ?::VARCHAR AS v)"
    ((answer,),) = con.execute(sql, [text]).fetchall()
    assert isinstance(answer, bool)
    return answer


@pytest.mark.parametrize(
    "column",
    [
        *("a_fee", "A_FEES", "b_rate_x", "c_scores", "_percent", "d_pct", "win_pct_x", "cost", "COSTS"),
        *("total_cost", "total_cost_usd", "avg", "avg_x", "x_avg", "x_avgs_y"),
        *("cpm", "eCPM", "x_ecpm", "x_cpm_y"),
    ],
)
def test_a_name_may_ask_for_double(column: str) -> None:
    assert name_rule(column) is Kind.DOUBLE


@pytest.mark.parametrize("column", ["user_id", "PARENT_ASIN", "_id", "x_rate_id"])
def test_a_name_may_ask_for_text(column: str) -> None:
    assert name_rule(column) is Kind.VARCHAR


@pytest.mark.parametrize(
    "column",
    [
        *("rate", "fee", "score", "percent", "pct", "asin", "id", "cost_type", "cpm_y", "average", "userid"),
        *("x_rated", "avgs", "costume", "x_costly", "id_x", "feedback_fe", "scpm", ""),
    ],
)
def test_other_names_ask_for_nothing(column: str) -> None:
    assert name_rule(column) is None


@pytest.mark.parametrize(
    ("kind", "texts"),
    [
        (Kind.BOOLEAN, "true FALSE True"),
        (Kind.BIGINT, "0 -1 1.0 -3.00 9223372036854775807 -9223372036854775808 9223372036854775807.0"),
        (
            Kind.DOUBLE,
            "0 -0 1 1.5 .5 -0.25 1e+3 1e-7 1.5E10 .5e3 1.5E-3 0.30000000000000004 9007199254740992",
        ),
        (Kind.DOUBLE, "1.7976931348623157e308 2.2250738585072014E-308 1.00000000000000000000"),
        (Kind.DATE, "2024-02-29 0001-01-01 9999-12-31"),
        (Kind.TIMESTAMP, "2024-01-01 2024-01-01T10:11 2024-01-01T10:11Z 2024-01-01T10:11:12.123456Z"),
        (Kind.TIMESTAMPTZ, "2024-01-01T10:11+02 2024-01-01T10:11:12.5-09:30 2024-01-01T10:11:12+00:00"),
    ],
)
def test_these_spellings_fit(con: duckdb.DuckDBPyConnection, kind: Kind, texts: str) -> None:
    assert [text for text in ["", *texts.split()] if not is_fit(con, kind, text)] == []


@pytest.mark.parametrize(
    ("kind", "texts"),
    [
        (Kind.BOOLEAN, "1 0 t yes on truee"),
        (Kind.BIGINT, "1.5 00123 +1 -0 -0.0 1_000 0x1F 1. .0 1e3 9223372036854775808 ١٢ 1,000 NaN"),
        (Kind.DOUBLE, "007.5 +1.5 1. 1_0.5 0x1p3 1,5 NaN Infinity 1.5f"),
        (Kind.DOUBLE, "1e+400 1e-400 4.9E-324 9007199254740993 1E5 12E3 500E00000000012 1234567e12"),
        (Kind.DOUBLE, "0.123456789012345678 123456789012345678.5 9007199254740992.5"),
        (Kind.DATE, "2023-02-29 1900-02-29 0000-01-01 2024-1-1 2024-13-01 20240101 24-01-01 infinity epoch"),
        (Kind.TIMESTAMP, "2024-01-01T24:00 2024-01-01T10:60 2024-01-01T10 2024-01-01Z"),
        (
            Kind.TIMESTAMP,
            "2024-01-01T10:11:12.1234567 2024-01-01T10:11+02 2024-02-30T10:11 2024-01-01T10:11z",
        ),
        (Kind.TIMESTAMPTZ, "2024-01-01T10:11 2024-01-01T10:11Z 2024-01-01+02:00 2024-01-01T10:11+16:00"),
        (Kind.TIMESTAMPTZ, "9999-12-31T23:59:59-00:01 0001-01-01T00:00+00:01"),
    ],
)
def test_these_spellings_do_not_fit(con: duckdb.DuckDBPyConnection, kind: Kind, texts: str) -> None:
    assert [text for text in [*texts.split(), " ", "\n"] if is_fit(con, kind, text)] == []


@pytest.mark.parametrize(
    "text", ["true", "1", "1.5", "2024-01-01", "2024-01-01T10:11", "2024-01-01T10:11+01"]
)
def test_space_around_a_value_is_part_of_it(con: duckdb.DuckDBPyConnection, text: str) -> None:
    padded = [f" {text}", f"{text} ", f"{text}\n", f"\t{text}"]
    assert not any(is_fit(con, kind, spaced) for spaced in padded for kind in VALUES)


def test_digits_around_an_e_are_a_number_only_if_the_column_is_known_to_have_numbers(
    con: duckdb.DuckDBPyConnection,
) -> None:
    rows = "(SELECT unnest(['1E5', '10045', '12E3']) AS v)"
    for clues in (Clues(), Clues(spelling=Spelling(decimal=",", thousands="."))):
        assert infer(con, rows, ["v"], clues) == {"v": Kind.VARCHAR}
    told = Clues(values={"v"}), Clues(declared={"v": "DOUBLE"}), Clues(amc={"v": "DOUBLE"})
    assert {infer(con, rows, ["v"], clues)["v"] for clues in told} == {Kind.DOUBLE}


def test_what_is_not_a_number_is_one_only_where_asked(con: duckdb.DuckDBPyConnection) -> None:
    texts = ["NaN", "nan", "Infinity", "-Infinity", "inf", "-inf"]
    assert all(is_fit(con, Kind.DOUBLE, text, special=True) for text in texts)
    assert not is_fit(con, Kind.DOUBLE, "-nan", special=True)
    asked = f"{checked_cast_sql(Kind.DOUBLE, 'v', 'x_rate', Clues().how('x_rate'))}::VARCHAR"
    found = con.execute(f"SELECT {asked} FROM (SELECT unnest(?) AS v)", [texts]).fetchall()
    assert [text for (text,) in found] == ["nan", "nan", "inf", "-inf", "inf", "-inf"]
    with pytest.raises(duckdb.InvalidInputException, match=f"{UNFIT}ratio"):
        con.execute(f"SELECT {checked_cast_sql(Kind.DOUBLE, 'v', 'ratio')} FROM (SELECT 'NaN' AS v)")


def test_empty_text_and_null_become_null_but_stay_in_text(con: duckdb.DuckDBPyConnection) -> None:
    for kind in Kind:
        casts = f"{cast_sql(kind, 'v')}, {checked_cast_sql(kind, 'v', 'v')}, {fits_sql(kind, 'v')}"
        empty = "" if kind.sql == "VARCHAR" else None
        rows = con.execute(f"SELECT {casts} FROM (SELECT unnest(['', NULL]::VARCHAR[]) AS v)").fetchall()
        assert rows == [(empty, empty, True), (None, None, True)]


def test_an_unfit_value_is_reported_by_column_in_the_middle_of_a_load(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("CREATE TABLE landed AS SELECT if(i = 50000, 'x', i::VARCHAR) AS v FROM range(60000) t(i)")
    con.execute("CREATE TABLE typed (v BIGINT)")
    with pytest.raises(duckdb.InvalidInputException) as refused:
        con.execute(
            f"INSERT INTO typed SELECT {checked_cast_sql(Kind.BIGINT, 'v', chr(39) + 'v')} FROM landed"
        )
    assert str(refused.value).partition(UNFIT)[2] == "'v"
    con.execute(
        f"INSERT INTO typed SELECT {checked_cast_sql(Kind.BIGINT, 'v', 'v')} FROM landed WHERE v <> 'x'"
    )
    assert con.execute("SELECT count(*), sum(v) FROM typed").fetchone() == (
        59_999,
        60_000 * 59_999 // 2 - 50_000,
    )


@pytest.mark.parametrize(
    ("type_name", "kind"),
    [
        ("INTEGER", Kind.BIGINT),
        ("UTINYINT", Kind.BIGINT),
        ("BIGINT", Kind.BIGINT),
        ("UBIGINT", DecimalKind(20, 0)),
        ("HUGEINT", Kind.VARCHAR),
        ("FLOAT", Kind.DOUBLE),
        ("DECIMAL(18,0)", DecimalKind(18, 0)),
        ("DECIMAL(38,2)", DecimalKind(38, 2)),
        ("DECIMAL(15,2)[]", Kind.VARCHAR),
        ("TIMESTAMP_MS", Kind.TIMESTAMP),
        ("TIMESTAMP_NS", Kind.VARCHAR),
        ("TIMESTAMP WITH TIME ZONE", Kind.TIMESTAMPTZ),
        ("INTEGER[]", Kind.VARCHAR),
        ("STRUCT(a INTEGER)", Kind.VARCHAR),
        ('"NULL"', Kind.NOTHING),
    ],
)
def test_a_stored_type_is_of_the_kind_that_holds_all_of_it(type_name: str, kind: Kind) -> None:
    assert Kind.of_sql(type_name) == kind


def test_duckdb_names_each_kind_as_we_do(con: duckdb.DuckDBPyConnection) -> None:
    for kind in set(Kind) - {Kind.NOTHING}:
        ((name,),) = con.execute(f"SELECT typeof(CAST(NULL AS {kind.sql}))").fetchall()
        assert name == kind.sql
        assert Kind.of_sql(name) is kind


def test_join_of_two_kinds() -> None:
    assert join(Kind.BIGINT, Kind.DOUBLE) is Kind.DOUBLE
    assert join(Kind.DATE, Kind.TIMESTAMP) is Kind.TIMESTAMP
    typed = set(Kind) - {Kind.NOTHING, Kind.VARCHAR}
    joined = {frozenset(pair): join(*pair) for pair in itertools.combinations(typed, 2)}
    narrow = {pair for pair, kind in joined.items() if kind is not Kind.VARCHAR}
    assert narrow == {frozenset((Kind.BIGINT, Kind.DOUBLE)), frozenset((Kind.DATE, Kind.TIMESTAMP))}


@pytest.mark.parametrize(
    ("stored", "want", "text"),
    [
        ("true", Kind.VARCHAR, "true"),
        ("1000000.0::DOUBLE", Kind.VARCHAR, "1000000.0"),
        ("0.1::DOUBLE", Kind.VARCHAR, "0.1"),
        ("1e20::DOUBLE", Kind.VARCHAR, "1e+20"),
        ("(-9223372036854775807)::BIGINT", Kind.VARCHAR, "-9223372036854775807"),
        ("DATE '2024-01-02'", Kind.VARCHAR, "2024-01-02"),
        ("TIMESTAMP '2024-01-02 03:04:05'", Kind.VARCHAR, "2024-01-02T03:04:05"),
        ("TIMESTAMP '2024-01-02 03:04:05.25'", Kind.VARCHAR, "2024-01-02T03:04:05.25"),
        ("TIMESTAMPTZ '2024-01-02 03:04:05+02'", Kind.VARCHAR, "2024-01-02T01:04:05+00:00"),
        ("DATE '2024-01-02'", Kind.TIMESTAMP, "2024-01-02 00:00:00"),
        ("7::BIGINT", Kind.DOUBLE, "7.0"),
    ],
)
def test_a_widened_value_reads_as_before_in_any_time_zone(
    con: duckdb.DuckDBPyConnection, stored: str, want: Kind, text: str
) -> None:
    con.execute("SET TimeZone = 'Asia/Kolkata'")
    con.execute(f'CREATE TABLE t AS SELECT {stored} AS "a b"')
    ((name,),) = con.execute('SELECT typeof("a b") FROM t').fetchall()
    assert con.execute(
        f"SELECT ({widen_sql(Kind.of_sql(name), want, 'a b')})::VARCHAR FROM t"
    ).fetchall() == [(text,)]


def test_a_column_without_values_takes_any_type(con: duckdb.DuckDBPyConnection) -> None:
    for want in Kind:
        rows = con.execute(
            f"SELECT {widen_sql(Kind.NOTHING, want, 'v')} FROM (VALUES (''), (NULL)) t(v)"
        ).fetchall()
        assert rows == [("" if want.sql == "VARCHAR" else None,), (None,)]


def test_narrowing_is_not_offered() -> None:
    for have, want in itertools.product(Kind, repeat=2):
        if join(have, want) is not want:
            with pytest.raises(ValueError, match="does not widen"):
                widen_sql(have, want, "v")


def test_integers_beyond_what_a_double_holds_are_counted(con: duckdb.DuckDBPyConnection) -> None:
    check = widening_check_sql(Kind.BIGINT, Kind.DOUBLE, "n")
    values = f"(VALUES ({2**53}), ({2**53 + 1}), ({-(2**53)}), ({-(2**53) - 1}), ({-(2**63)}), (NULL)) t(n)"
    assert con.execute(f"SELECT {check} FROM {values}").fetchall() == [(3,)]
    assert widening_check_sql(Kind.BIGINT, Kind.VARCHAR, "n") is None
    assert widening_check_sql(Kind.DATE, Kind.TIMESTAMP, "n") is None


VALUES = {
    Kind.BOOLEAN: ["true", "false"],
    Kind.BIGINT: ["-7", "9007199254740992"],
    Kind.DOUBLE: ["-1.5", "0.1"],
    Kind.DATE: ["2024-02-29", "1969-12-31"],
    Kind.TIMESTAMP: ["2024-02-29T01:02:03.5", "1969-12-31T23:59"],
    Kind.TIMESTAMPTZ: ["2024-02-29T01:02:03.5+02:00", "1969-12-31T23:59-05"],
}


def loaded(kind: Kind) -> str:
    """The values of VALUES, cast as a load casts them."""
    return f"SELECT {cast_sql(kind, 'v')} FROM (SELECT unnest({VALUES[kind]}) AS v)"


def test_ducklake_widens_in_place_exactly_what_we_say_and_still_finds_the_rows(tmp_path: Path) -> None:
    con = duck.connect(memory_limit=1 << 30, threads=1)
    duck.attach(con, tmp_path / "lake.sqlite", tmp_path / "data")
    for n, (have, want) in enumerate(itertools.product(VALUES, [*VALUES, Kind.VARCHAR])):
        if join(have, want) is not want or have is want:
            assert not is_in_place(have, want)
            continue
        con.execute(f"CREATE TABLE lake.t{n} (v {have.sql})")
        con.execute(f"INSERT INTO lake.t{n} {loaded(have)}")
        widened = con.execute(f"SELECT {widen_sql(have, want, 'v')} FROM lake.t{n} ORDER BY v").fetchall()
        try:
            con.execute(f"ALTER TABLE lake.t{n} ALTER v SET DATA TYPE {want.sql}")
        except duckdb.Error:
            assert not is_in_place(have, want)
            continue
        assert is_in_place(have, want)
        # what is inserted now lies beside files of the old type; statistics of both decide which are read
        con.execute(f"INSERT INTO lake.t{n} {loaded(want)}")
        assert con.execute(f"SELECT typeof(v) FROM lake.t{n} LIMIT 1").fetchall() == [(want.sql,)]
        for (value,) in widened:
            rows = con.execute(f"SELECT count(*) FROM lake.t{n} WHERE v = ?", [value]).fetchall()
            assert rows == [(1,)]
    con.close()


ROWS = """(SELECT * FROM (VALUES
    ('1', '1.0', '2024-01-01', 'true', '7', '7', '2.5', '', NULL, '00123', '1'),
    ('2', '2.5', '2024-01-01T10:00Z', '', '8', 'x', '3', NULL, NULL, '4', '-0')
) t(n, mixed, moment, flag, my_id, my_cost, avg, gap, some_rate, zip, minus))"""


def test_a_file_gets_the_types_one_expects(con: duckdb.DuckDBPyConnection) -> None:
    columns = ["n", "mixed", "moment", "flag", "my_id", "my_cost", "avg", "gap", "some_rate", "zip", "minus"]
    kinds = infer(con, ROWS, columns)
    assert list(kinds) == columns
    assert kinds == {
        "n": Kind.BIGINT,
        "mixed": Kind.DOUBLE,
        "moment": Kind.TIMESTAMP,
        "flag": Kind.BOOLEAN,
        "my_id": Kind.VARCHAR,
        "my_cost": Kind.VARCHAR,
        "avg": Kind.DOUBLE,
        "gap": Kind.NOTHING,
        "some_rate": Kind.DOUBLE,
        "zip": Kind.VARCHAR,
        "minus": Kind.DOUBLE,
    }


def test_dates_stay_text_where_asked_and_quoted_numbers_always(con: duckdb.DuckDBPyConnection) -> None:
    columns = ["n", "moment", "flag", "avg", "gap"]
    kinds = infer(con, ROWS, columns, Clues(quoted={"n", "moment", "flag", "avg", "gap"}))
    expected = [Kind.VARCHAR, Kind.TIMESTAMP, Kind.VARCHAR, Kind.VARCHAR, Kind.NOTHING]
    assert list(kinds.values()) == expected
    assert infer(con, ROWS, ["moment", "n"], Clues(dates=False)) == {"moment": Kind.VARCHAR, "n": Kind.BIGINT}


def test_no_rows_and_no_columns_are_no_surprise(con: duckdb.DuckDBPyConnection) -> None:
    none = "(SELECT NULL::VARCHAR AS v, NULL::VARCHAR AS fee_id, NULL::VARCHAR AS a_fee LIMIT 0)"
    found = infer(con, none, ["v", "fee_id", "a_fee"])
    assert found == {"v": Kind.NOTHING, "fee_id": Kind.VARCHAR, "a_fee": Kind.DOUBLE}
    assert infer(con, none, []) == {}


@pytest.mark.parametrize(
    ("last", "kind"),
    [
        ("1", Kind.BIGINT),
        ("1.5", Kind.DOUBLE),
        ("", Kind.BIGINT),
        ("2024-01-01", Kind.VARCHAR),
        ("x", Kind.VARCHAR),
    ],
)
def test_the_last_of_many_rows_counts(con: duckdb.DuckDBPyConnection, last: str, kind: Kind) -> None:
    rows = f"(SELECT i::VARCHAR AS v, '' AS w FROM range(9000) t(i) UNION ALL SELECT '{last}', '{last}')"
    found = infer(con, rows, ["v", "w"])
    alone = infer(con, f"(SELECT '{last}' AS w)", ["w"])["w"]
    assert found == {"v": kind, "w": alone}
