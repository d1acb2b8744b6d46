"""What DuckDB says of a query that amci let through is told in Calcite's words, with its place."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from amci.amcsql.findings import CompileError, Finding
from amci.amcsql.privacy.thresholds import Privacy
from amci.amcsql.query import Query
from amci.amcsql.sources import sources
from amci.sandbox.engine import QueryEngine
from amci.sandbox.type_check import in_calcites_words

WINDOW = (datetime(2026, 10, 20, tzinfo=UTC), datetime(2026, 10, 27, tzinfo=UTC))


def _said(engine: QueryEngine, sql: str) -> Finding:
    query = Query.of(sql, sources(), controls="none").compile(WINDOW, WINDOW[1])
    with pytest.raises(CompileError) as caught:
        engine.check(query, sql)
    (found,) = caught.value.findings
    return found


@pytest.mark.parametrize(
    ("sql", "text", "columns"),
    [
        (
            "SELECT DATE_TRUNC('day', campaign_id) AS d FROM dsp_clicks",
            "Cannot apply 'date_trunc' to arguments of these types",
            (8, 37),
        ),
        (
            "SELECT campaign, SUM(click_dt_utc) AS s FROM dsp_clicks GROUP BY 1",
            "Cannot apply 'sum' to arguments of these types",
            (18, 34),
        ),
        (
            "SELECT ABS(click_dt_utc) AS x FROM dsp_clicks",
            "Cannot apply 'abs' to arguments of these types",
            (8, 24),
        ),
        # DuckDB calls it otherwise
        (
            "SELECT ARRAY_CONTAINS(campaign, 'x') AS s FROM dsp_clicks",
            "Cannot apply 'ARRAY_CONTAINS' to arguments of these types",
            (8, 36),
        ),
        # where nothing in the query is named, all of it is meant
        ("SELECT NAMED_ROW('a', 1, 'a', 2) AS x", 'Duplicate struct entry name "a"', (1, 37)),
    ],
)
def test_what_duckdb_cannot_bind_is_refused_with_its_place(
    engine: QueryEngine, sql: str, text: str, columns: tuple[int, int]
) -> None:
    found = _said(engine, sql)
    assert (found.code, found.text) == ("types", text)
    assert (found.place.column, found.place.end_column) == columns
    assert found.hint


def test_the_same_holds_for_a_query_with_the_privacy_rules(engine: QueryEngine) -> None:
    sql = "SELECT campaign, SUM(click_dt_utc) AS s FROM dsp_clicks GROUP BY 1"
    query = Query.of(sql, sources()).compile(WINDOW, WINDOW[1], privacy=Privacy())
    with pytest.raises(CompileError, match="Cannot apply 'sum'"):
        engine.check(query, sql)


@pytest.mark.parametrize(
    ("said", "text", "columns"),
    [
        (
            'Binder Error: Referenced column "clicks" not found in FROM clause!\nCandidate bindings: "amci u0"',
            "Column 'clicks' not found in any table",
            (12, 17),
        ),
        ("Catalog Error: something else\nLINE 1: SELECT …", "something else", (1, 33)),
        ('Binder Error: no such thing as "amci u3" here', "no such thing as a value here", (1, 33)),
    ],
)
def test_only_the_first_line_is_told_and_no_name_of_amcis_own(
    said: str, text: str, columns: tuple[int, int]
) -> None:
    found = in_calcites_words(said, "SELECT SUM(clicks) FROM dsp_click")
    assert found.text == text
    assert (found.place.column, found.place.end_column) == columns
