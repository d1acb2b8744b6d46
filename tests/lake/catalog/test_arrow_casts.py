"""Text that Arrow casts is what DuckDB casts it to, or left to DuckDB."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pyarrow as pa
import pytest

from amci.lake.catalog.arrow_casts import TextCaster
from amci.lake.catalog.casts import checked_cast_sql, fits_sql
from amci.lake.catalog.kinds import ColumnKind, DecimalKind, Kind
from amci.lake.datasets.spelling import PLAIN, Spelling

TEXTS = [
    *(
        "",
        "0",
        "-0",
        "+1",
        "1",
        "007",
        "-12",
        "1.0",
        "12.",
        ".5",
        "0.5",
        "5e3",
        "1e5",
        "1E+20",
        "0x10",
        "1_000",
    ),
    *(
        "9223372036854775807",
        "-9223372036854775808",
        "9223372036854775808",
        "9007199254740993",
        "99999999999999999",
    ),
    *(
        "1.5",
        "1.50",
        "0.1234567890123456",
        "0.12345678901234567",
        "123456789.12345678",
        "1234567890.5",
        "-1.25",
    ),
    *(
        "nan",
        "NaN",
        "inf",
        "-Infinity",
        "1.7976931348623157e308",
        "1.8e308",
        "2e-308",
        " 1",
        "1 ",
        "1,5",
        "1٫5",
        "１",
    ),
    *(
        "true",
        "TRUE",
        "false",
        "t",
        "yes",
        "2026-01-31",
        "2026-02-30",
        "0000-01-01",
        "0001-01-01",
        "2026-1-1",
    ),
    *(
        "2026-01-31T10:00:00Z",
        "2026-01-31 10:00",
        "2026-01-31 10:00:00.123456",
        "2026-01-31 10:00:00+02",
        "9999-12-31",
    ),
    *("n/a", "é", "a\nb", "NULL"),
]
KINDS: list[ColumnKind] = [Kind.VARCHAR, Kind.BOOLEAN, Kind.BIGINT, Kind.DOUBLE, Kind.DATE, Kind.TIMESTAMP]
KINDS += [Kind.TIMESTAMPTZ, Kind.NOTHING, DecimalKind(18, 2)]


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        yield opened


@pytest.mark.parametrize("how", [PLAIN, Spelling(nulls=("n/a",), decimal=",")], ids=["plain", "people"])
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_text_is_cast_as_sql_casts_it(
    con: duckdb.DuckDBPyConnection, kind: ColumnKind, how: Spelling
) -> None:
    """Each by itself, all that fit together, and often."""
    con.register("texts", pa.table({"c": TEXTS}))
    sql, fits_it = checked_cast_sql(kind, '"c"', "c", how), fits_sql(kind, '"c"', how)
    fitting = con.execute(f"SELECT c, {sql} AS value FROM texts WHERE {fits_it}").to_arrow_table()
    texts, values = fitting.column("c").combine_chunks(), fitting.column("value").combine_chunks()
    assert len(texts)

    def cast(text: pa.Array) -> pa.Array:
        return TextCaster(con, "c", sql, kind, is_plain=how.is_plain).cast(text)

    assert same(cast(texts), values)
    assert same(cast(pa.concat_arrays([texts] * 20)), pa.concat_arrays([values] * 20))
    for place, text in enumerate(texts.to_pylist() if kind in (Kind.BIGINT, Kind.DOUBLE) else ()):
        assert same(cast(pa.array([text])), values.slice(place, 1)), text
    for text in set(TEXTS) - set(texts.to_pylist()):
        with pytest.raises(duckdb.InvalidInputException):
            cast(pa.array([text, None]))


def same(found: pa.Array, wanted: pa.Array) -> bool:
    """Whether two arrays have one type and the same values, NaN among them, and zeros of one sign."""
    return found.type == wanted.type and list(map(repr, found.to_pylist())) == list(
        map(repr, wanted.to_pylist())
    )


def test_batches_of_one_column_agree_however_often_its_values_repeat(con: duckdb.DuckDBPyConnection) -> None:
    """Few values, then many, then one that Arrow does not read alone."""
    caster = TextCaster(con, "c", checked_cast_sql(Kind.BIGINT, '"c"', "c"), Kind.BIGINT, is_plain=True)
    batches = [["1", None, "2"] * 20, ["2", "3", None] * 20, [str(n) for n in range(50)], ["4.0", "5", None]]
    for batch in batches:
        found = caster.cast(pa.array(batch, pa.string())).to_pylist()
        assert found == [None if text is None else int(float(text)) for text in batch]
