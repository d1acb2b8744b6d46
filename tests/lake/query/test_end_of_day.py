"""TIME '24:00:00', which DuckDB has and Python has not, is refused rather than made 00:00:00."""

from __future__ import annotations

import duckdb
import pyarrow as pa
import pytest

from amci.kernel.errors import QueryError
from amci.lake.query.result import QueryAnswer, has_end_of_day
from amci.lake.query.result_files import texts

NESTED = {
    "list": "[TIME '10:00:00', {}]",
    "list of lists": "[[], [{}]]",
    "array": "array_value({}, TIME '10:00:00')",
    "struct": "{{'a': 1, 'b': {}}}",
    "struct in a list": "[{{'a': NULL}}, {{'a': {}}}]",
    "value of a map": "MAP {{'a': {}}}",
    "key of a map": "MAP {{{}: 'a'}}",
    "union": "union_value(a := {})",
}


def column(expression: str, time: str) -> pa.ChunkedArray:
    return duckdb.sql(f"SELECT {expression.format(time)} AS c").to_arrow_table().column(0)


@pytest.mark.parametrize("expression", ["{}", *NESTED.values()], ids=["alone", *NESTED])
def test_it_is_refused_at_any_depth(expression: str) -> None:
    with pytest.raises(QueryError, match="cannot be written"):
        texts(column(expression, "TIME '24:00:00'").chunk(0))
    texts(column(expression, "TIME '23:59:59.999999'").chunk(0))


@pytest.mark.parametrize("expression", ["{}", *NESTED.values()], ids=["alone", *NESTED])
def test_it_is_refused_as_a_value_of_python(expression: str) -> None:
    for time, is_there in (("TIME '24:00:00'", True), ("TIME '00:00:00'", False), ("NULL::TIME", False)):
        if (
            time.startswith("NULL")
            and "MAP" in expression
            and expression.index("{}") < expression.index("'a'")
        ):
            continue
        assert has_end_of_day(column(expression, time)) is is_there


def test_an_answer_in_python_is_refused() -> None:
    table = duckdb.sql("SELECT 1 AS n, [TIME '24:00:00'] AS c").to_arrow_table()
    answer = QueryAnswer(("n", "c"), ("INTEGER", "TIME[]"), table)
    for read in (answer.fetchall, answer.to_polars):
        with pytest.raises(QueryError, match="column c has a value that cannot be written"):
            read()
    assert answer.to_arrow() is table
