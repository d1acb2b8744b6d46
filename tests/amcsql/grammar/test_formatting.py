from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st
from sqlglot import TokenType

from amci.amcsql.findings import CompileError
from amci.amcsql.grammar.dialect import AmcTokenizer, tokenized
from amci.amcsql.grammar.formatting import WIDTH, formatted

SKELETONS = [
    text.split("\n", 1)[1].strip()
    for text in (Path(__file__).parents[1] / "skeletons.sql").read_text(encoding="utf-8").split("-- U")[1:]
]
ODD = [
    "SELECT a - -1, - - 1, -(-b), +a, a -- -1\n FROM t",
    'SELECT .5, 1.5, t . a, "A b" . "c""d" FROM t',
    "SELECT 'a''b', 'two\nlines' 'x' FROM t",
    "SELECT date, t.date, a AS end, DATE '2020-01-01', CAST(a AS date) FROM t",
    "SELECT LEFT(a, 1), RIGHT (a, 2) FROM t LEFT JOIN u ON a = b FULL OUTER JOIN v USING (c) CROSS JOIN w",
    "((SELECT a FROM t) UNION ALL (SELECT b FROM u)) UNION DISTINCT SELECT c FROM v",
    "WITH a (b, c) AS (VALUES (1, 2), (3, 4)), d AS (SELECT 1 AS x) SELECT b FROM a, d",
    "SELECT CASE a WHEN 1 THEN CASE WHEN b BETWEEN 1 AND 2 AND c THEN 3 END ELSE 4 END FROM t",
    "SELECT SUM(a) OVER (ORDER BY c ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM t WINDOW w AS (ORDER BY d)",
    "SELECT a FROM t WHERE a IN (SELECT b FROM u WHERE c = 1) AND (d = 1 OR e = 2) AND EXISTS (SELECT 1)",
    "SELECT ARRAY['a', 'b'], x[1], y SIMILAR   TO 'z', COUNT(*) FROM t GROUP\nBY 1",
    "SELECT a FROM t /* one */ /* two */ WHERE -- three\n b = 1 -- four\n AND c = 2;",
    "-- first\n/* second\n   line */\nSELECT a, -- of a\n  b /* of b */, c FROM t\n-- last",
    "SELECT a FROM t GROUP /* between */ BY 1",
    "SELECT a b c FROM ((( t",
    "SELECT a FROM t WHERE x = [LIST] AND y = {{z}}",
    "",
    "-- only",
]  # fmt: skip


def tokens(sql: str) -> list[str]:
    """The tokens without layout, keywords alike however they are written."""
    found = []
    for token in tokenized(sql):
        text = sql[token.start : token.end + 1]
        words = " ".join(text.split()).upper()
        literal = token.token_type in (TokenType.STRING, TokenType.IDENTIFIER)
        found.append(words if not literal and words in AmcTokenizer.KEYWORDS else text)
    return found


def comments(sql: str) -> list[str]:
    ends = [-1, *(end for token in tokenized(sql) for end in (token.start, token.end)), len(sql)]
    gaps = [sql[first + 1 : last] for first, last in list(pairwise(ends))[::2]]
    return [found.rstrip() for gap in gaps for found in re.findall(r"--[^\n]*|/\*.*?\*/", gap, re.DOTALL)]


@pytest.mark.parametrize("sql", [*SKELETONS, *ODD])
def test_only_the_layout_changes(sql: str) -> None:
    assert tokens(formatted(sql)) == tokens(sql)
    assert comments(formatted(sql)) == comments(sql)


@pytest.mark.parametrize("sql", [*SKELETONS, *ODD])
def test_what_is_laid_out_stays(sql: str) -> None:
    assert formatted(formatted(sql)) == formatted(sql)


@pytest.mark.parametrize("sql", SKELETONS)
def test_no_line_is_too_long(sql: str) -> None:
    assert max(map(len, formatted(sql).splitlines())) <= WIDTH


def test_a_query_is_laid_out_a_clause_a_line() -> None:
    sql = (
        "with f as (select user_id, sum(impressions) as n from dsp_impressions where user_id is not null "
        "group by 1) select case when n < 10 then 'few' when n < 100 then 'some' else 'many' end as bucket, "
        "count(distinct user_id) as users "
        "from f left outer join g on f.a = g.a -- why\n where n between 1 and 2 union all select 'x', 1 from h;"
    )
    assert formatted(sql) == (
        "WITH f AS (\n"
        "  SELECT user_id, sum(impressions) AS n\n"
        "  FROM dsp_impressions\n"
        "  WHERE user_id IS NOT NULL\n"
        "  GROUP BY 1\n"
        ")\n"
        "SELECT\n"
        "  CASE\n"
        "    WHEN n < 10 THEN 'few'\n"
        "    WHEN n < 100 THEN 'some'\n"
        "    ELSE 'many'\n"
        "  END AS bucket,\n"
        "  count(DISTINCT user_id) AS users\n"
        "FROM f\n"
        "LEFT OUTER JOIN g ON f.a = g.a -- why\n"
        "WHERE n BETWEEN 1 AND 2\n"
        "UNION ALL\n"
        "SELECT 'x', 1\n"
        "FROM h;\n"
    )


def test_long_conditions_and_calls_are_broken() -> None:
    names = [f"a_rather_long_column_name_{number}" for number in range(4)]
    sql = (
        f"SELECT a FROM t WHERE {' AND '.join(f'{name} = 1' for name in names)} AND f({', '.join(names)}) = 2"
    )
    assert formatted(sql) == (
        "SELECT a\n"
        "FROM t\n"
        "WHERE a_rather_long_column_name_0 = 1\n"
        "  AND a_rather_long_column_name_1 = 1\n"
        "  AND a_rather_long_column_name_2 = 1\n"
        "  AND a_rather_long_column_name_3 = 1\n"
        "  AND f(\n"
        "    a_rather_long_column_name_0,\n"
        "    a_rather_long_column_name_1,\n"
        "    a_rather_long_column_name_2,\n"
        "    a_rather_long_column_name_3\n"
        "  ) = 2\n"
    )


def test_names_stay_as_they_are_written() -> None:
    sql = "select Date, t.End, Sum(x) as Order_Date from Dsp_Impressions t"
    assert formatted(sql) == "SELECT Date, t.End, Sum(x) AS Order_Date\nFROM Dsp_Impressions t\n"


def test_a_text_that_does_not_end_is_refused() -> None:
    with pytest.raises(CompileError, match="Lexical error"):
        formatted("SELECT 'a")


GAPS = st.sampled_from(
    [" ", "\n", "  \n\t", " -- one\n", "\n-- two\n", " /* three */ ", "\n/* four\nlines */\n", "\r\n"]
)


@settings(max_examples=120, deadline=None)
@given(data=st.data(), sql=st.sampled_from([*SKELETONS, *ODD]))
def test_any_layout_and_any_comments_survive(data: st.DataObject, sql: str) -> None:
    words = tokens(sql)
    lower = data.draw(st.booleans())
    said = [word.lower() if lower and word in AmcTokenizer.KEYWORDS else word for word in words]
    gaps = data.draw(st.lists(GAPS, min_size=len(said), max_size=len(said)))
    varied = "".join(gap + word for gap, word in zip(gaps, said, strict=True))
    assert tokens(formatted(varied)) == tokens(varied)
    assert comments(formatted(varied)) == comments(varied)
    assert formatted(formatted(varied)) == formatted(varied)
