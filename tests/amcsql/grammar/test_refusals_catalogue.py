"""Every kind of refusal: its code, what it is about, what AMC would say, and what to do instead (amc-api 3.1, 3.3)."""

from __future__ import annotations

from typing import Any

import pytest

from amci.amcsql.findings import CompileError, Finding
from amci.amcsql.privacy.thresholds import Privacy
from amci.amcsql.sources import audience_sources, sources

from ..asking import compile_

#: What is refused is between « and »; then its code and its text.
REFUSED = [
    # columns and tables
    ("SELECT «*» FROM dsp_impressions", "star", "SELECT * is not supported on a data source"),
    ("SELECT «i.*» FROM dsp_impressions i", "star", "i.* is not supported on a data source"),
    (
        "SELECT COUNT(*) AS n\nFROM «dsp_impresions»",
        "unknown-object",
        "Object 'dsp_impresions' not found",
    ),
    (
        "SELECT «campain», COUNT(*) AS n\nFROM dsp_impressions GROUP BY 1",
        "unknown-column",
        "Column 'campain' not found in any table",
    ),
    (
        "SELECT COUNT(*) AS n\nFROM dsp_impressions i\nWHERE i.«campain» = 'x'",
        "unknown-column",
        "Column 'campain' not found in table 'i'",
    ),
    (
        "SELECT COUNT(*) AS n FROM dsp_impressions a JOIN dsp_clicks b ON a.request_tag = «request_tag»",
        "ambiguous-column",
        "Column 'request_tag' is ambiguous",
    ),
    (
        "SELECT «UPER(campaign)» AS c, COUNT(*) AS n FROM dsp_impressions GROUP BY 1",
        "unknown-function",
        "No match found for function signature UPER(<ANY>)",
    ),
    (
        "SELECT «UPPER(campaign, 1)» AS c, COUNT(*) AS n FROM dsp_impressions GROUP BY 1",
        "arguments",
        "Invalid number of arguments to function 'UPPER'. Was expecting 1 argument",
    ),
    # clauses
    ("SELECT COUNT(*) AS n FROM dsp_impressions\n«LIMIT» 10", "limit", "LIMIT is not supported"),
    ("SELECT COUNT(*) AS n FROM dsp_impressions «OFFSET» 10", "limit", "OFFSET is not supported"),
    (
        "SELECT COUNT(*) AS n FROM dsp_impressions «FETCH» FIRST 5 ROWS ONLY",
        "limit",
        "FETCH is not supported",
    ),
    ("«SELECT TOP» 5 COUNT(*) AS n FROM dsp_impressions", "limit", "LIMIT is not supported"),
    (
        "SELECT COUNT(*) AS n FROM dsp_impressions a\n  «RIGHT JOIN» dsp_clicks b ON a.request_tag = b.request_tag",
        "right-join",
        "RIGHT JOIN is not supported",
    ),
    (
        "SELECT COUNT(*) AS n FROM dsp_impressions «NATURAL» JOIN dsp_clicks",
        "natural-join",
        "NATURAL JOIN is not supported",
    ),
    (
        "SELECT COUNT(*) AS n FROM dsp_impressions «JOIN» dsp_clicks",
        "join-condition",
        "INNER, LEFT or FULL join requires a condition (ON or USING clause)",
    ),
    (
        "SELECT campaign, COUNT(*) AS n FROM dsp_impressions GROUP BY 1\n«ORDER BY» 2",
        "order-by",
        "ORDER BY at the end of a query is not supported",
    ),
    (
        "SELECT COUNT(*) AS n FROM (SELECT campaign FROM dsp_impressions «ORDER BY» 1)",
        "order-by",
        "ORDER BY in a sub-query is not supported",
    ),
    (
        "SELECT COUNT(*) AS n FROM dsp_impressions «QUALIFY» COUNT(*) = 1",
        "qualify",
        "QUALIFY is not supported",
    ),
    (
        "SELECT COUNT(*) AS n FROM dsp_impressions GROUP BY «ROLLUP»(campaign)",
        "grouping-sets",
        "ROLLUP is not supported",
    ),
    (
        "SELECT COUNT(*) AS n FROM dsp_impressions «GROUP BY ALL»",
        "group-by-all",
        "GROUP BY ALL is not supported",
    ),
    (
        "SELECT «DISTINCT ON» (campaign) COUNT(*) AS n FROM dsp_impressions",
        "distinct-on",
        "DISTINCT ON is not supported",
    ),
    ("SELECT COUNT(*) «FILTER» (WHERE clicks = 1) AS n FROM dsp_clicks", "filter", "FILTER is not supported"),
    (
        "SELECT PERCENTILE(clicks, 0.5) «WITHIN GROUP» (ORDER BY clicks) AS n FROM dsp_clicks",
        "within-group",
        "WITHIN GROUP is not supported",
    ),
    ("SELECT MAX(x) AS n FROM «UNNEST»(ARRAY[1, 2]) AS v (x)", "unnest", "UNNEST is not supported"),
    (
        "SELECT campaign FROM dsp_clicks «INTERSECT» SELECT campaign FROM dsp_clicks",
        "set-operation",
        "INTERSECT is not supported",
    ),
    (
        "SELECT campaign FROM dsp_clicks «EXCEPT» SELECT campaign FROM dsp_clicks",
        "set-operation",
        "EXCEPT is not supported",
    ),
    (
        "SELECT LAG(clicks) «IGNORE NULLS» OVER (ORDER BY clicks) AS n FROM dsp_clicks",
        "nulls",
        "IGNORE NULLS and RESPECT NULLS are not supported",
    ),
    (
        "WITH «RECURSIVE» a AS (SELECT 1 AS n) SELECT n FROM a",
        "recursive",
        "Recursive queries are not supported",
    ),
    ("SELECT «GETDATE(» ) AS d FROM dsp_clicks", "getdate", "GETDATE() is not supported"),
    (
        "SELECT COUNT(*) AS n FROM dsp_clicks WHERE campaign IN («[LIST]»)",
        "placeholder",
        'Encountered "[" at line 1, column 57.',
    ),
    ("SELECT clicks«::»int AS n FROM dsp_clicks", "cast-sign", 'Encountered ":" at line 1, column 14.'),
    # statements
    ("«DROP» TABLE dsp_clicks", "not-a-select", "Only SELECT queries are supported"),
    ("«CREATE» TABLE x AS SELECT 1 AS a", "not-a-select", "Only SELECT queries are supported"),
    ("«INSERT» INTO x SELECT 1 AS a", "not-a-select", "Only SELECT queries are supported"),
    ("«UPDATE» x SET a = 1", "not-a-select", "Only SELECT queries are supported"),
    (
        "SELECT COUNT(*) AS n FROM dsp_clicks;\n«SELECT COUNT(*) AS n FROM dsp_clicks»",
        "several-statements",
        "Only one query is supported",
    ),
    ("SELECT COUNT(*) AS n «INTO» x FROM dsp_clicks", "into", "INTO is not supported"),
    # types, units, patterns
    (
        "SELECT «CAST(campaign AS TIME)» AS t, COUNT(*) AS n FROM dsp_clicks GROUP BY 1",
        "unknown-type",
        "Unknown datatype name 'TIME'",
    ),
    (
        "SELECT «EXTRACT(CENTURY FROM click_dt_utc)» AS c, COUNT(*) AS n FROM dsp_clicks GROUP BY 1",
        "unknown-unit",
        "'CENTURY' is not a valid time frame",
    ),
    ("SELECT COUNT(*) AS n FROM dsp_clicks WHERE campaign SIMILAR TO «'a('»", "bad-pattern", None),
    # parameters and windows
    (
        "SELECT COUNT(*) AS n FROM dsp_clicks WHERE campaign = «CUSTOM_PARAMETER('campaign')»",
        "undeclared-parameter",
        "Filter operation filter_operation referenced an undeclared parameter campaign.",
    ),
    (
        "SELECT COUNT(*) AS n FROM TABLE(EXTEND_TIME_WINDOW(«'dsp_click'», 'P1D', 'P0D'))",
        "unknown-object",
        "Object 'dsp_click' not found",
    ),
    (
        "SELECT COUNT(*) AS n FROM TABLE(EXTEND_TIME_WINDOW('dsp_clicks', «'1D'», 'P0D'))",
        "duration",
        "'1D' is not an ISO 8601 duration",
    ),
    # aggregates
    (
        "SELECT campaign, «impressions», COUNT(*) AS n FROM dsp_impressions GROUP BY 1",
        "not-grouped",
        "Expression 'impressions' is not being grouped",
    ),
    (
        "SELECT COUNT(*) AS n FROM dsp_impressions WHERE «SUM(impressions) > 1»",
        "aggregate-in-where",
        "Aggregate expression is illegal in WHERE clause",
    ),
    (
        "SELECT COUNT(*) AS n FROM dsp_impressions GROUP BY «1»",
        "aggregate-in-group-by",
        "Aggregate expression is illegal in GROUP BY clause",
    ),
    (
        "SELECT campaign, COUNT(*) AS n FROM dsp_impressions GROUP BY 1, «3»",
        "ordinal",
        "Ordinal out of range",
    ),
    (
        "SELECT «SUM(COUNT(*))» AS n FROM dsp_impressions",
        "nested-aggregate",
        "Aggregate expressions cannot be nested",
    ),
    (
        "SELECT «campaign FROM dsp_impressions»",
        "no-aggregate",
        "aggregation queries must contain at least one aggregation method on a column",
    ),
    # privacy
    (
        "SELECT «user_id», COUNT(*) AS n FROM dsp_impressions GROUP BY 1",
        "privacy-output",
        "Column 'user_id' comes from a column with the aggregation threshold VERY_HIGH, which may not be in the output",
    ),
    (
        "SELECT «MAX(marketplace_id)» AS m, COUNT(*) AS n FROM amazon_brand_store_page_views",
        "privacy-output",
        "Column 'm' comes from a column with the aggregation threshold INTERNAL, which may not be in the output",
    ),
    (
        "SELECT COUNT(*) AS n FROM dsp_impressions WHERE «postal_code = '11111'»",
        "privacy-comparison",
        (
            "Column 'postal_code' has a high aggregation threshold and may not be compared with a literal,"
            " a parameter or what comes from them"
        ),
    ),
    (
        "WITH f AS (SELECT postal_code AS p FROM dsp_impressions)\nSELECT COUNT(*) AS n FROM f WHERE «p LIKE '1%'»",
        "privacy-comparison",
        (
            "Column 'p' has a high aggregation threshold and may not be compared with a literal, a parameter or what"
            " comes from them"
        ),
    ),
    (
        "SELECT (SELECT «MAX(clicks) FROM dsp_clicks») AS n FROM dsp_clicks",
        "scalar-query",
        "Sub-queries are supported in FROM, IN and EXISTS only",
    ),
]


def _refusals(sql: str, **more: Any) -> list[Finding]:
    with pytest.raises(CompileError) as caught:
        compile_(sql, **{"sources": sources(), "privacy": Privacy(), "mode": "strict", **more})
    return list(caught.value.findings)


def _line_and_column(sql: str, at: int) -> tuple[int, int]:
    return sql.count("\n", 0, at) + 1, at - sql.rfind("\n", 0, at)


@pytest.mark.parametrize(("marked", "code", "text"), REFUSED, ids=[marked for marked, _, _ in REFUSED])
def test_what_amc_refuses_is_refused_with_its_reason_and_its_place(
    marked: str, code: str, text: str | None
) -> None:
    sql = marked.replace("«", "").replace("»", "")
    start, end = marked.index("«"), marked.index("»") - 2
    (found,) = _refusals(sql)
    assert found.code == code
    assert text is None or found.text == text
    place = found.place
    assert (place.line, place.column) == _line_and_column(sql, start)
    assert (place.end_line, place.end_column) == _line_and_column(sql, end)
    assert found.as_amc().endswith(found.text)
    assert found.severity == "error"


@pytest.mark.parametrize(
    ("sql", "hint"),
    [
        ("SELECT COUNT(*) AS n FROM dsp_impresions", "did you mean dsp_impressions?"),
        ("SELECT campain, COUNT(*) AS n FROM dsp_impressions GROUP BY 1", "did you mean campaign?"),
        ("SELECT UPER(campaign) AS c, COUNT(*) AS n FROM dsp_impressions GROUP BY 1", "did you mean UPPER?"),
        ("SELECT COUNT(*) AS n FROM dsp_clicks LIMIT 5", "ROW_NUMBER()"),
        (
            "SELECT COUNT(*) AS n FROM dsp_clicks a RIGHT JOIN dsp_clicks b ON a.clicks = b.clicks",
            "LEFT JOIN",
        ),
        ("SELECT campaign, COUNT(*) AS n FROM dsp_clicks GROUP BY 1 ORDER BY 1", "after the download"),
        ("SELECT campaign FROM dsp_clicks", "SUM or COUNT a column"),
        ("SELECT MAX(user_id) AS u FROM dsp_clicks", "COUNT(DISTINCT …) it"),
        ("SELECT * FROM dsp_clicks", "name the columns"),
        ("SELECT CUSTOM_PARAMETER('p') AS p, COUNT(*) AS n FROM dsp_clicks", "declare it"),
        ("SELECT ARRAY_AGG(campaign) AS c FROM dsp_clicks", "COLLECT"),
    ],
)
def test_it_is_said_what_to_do_instead(sql: str, hint: str) -> None:
    (found,) = _refusals(sql)
    assert hint in found.hint


def test_a_report_knows_no_tables_for_audiences_and_an_audience_no_others() -> None:
    (found,) = _refusals("SELECT COUNT(*) AS n FROM dsp_clicks_for_audiences")
    assert found.text == "Object 'dsp_clicks_for_audiences' not found"
    (found,) = _refusals("SELECT user_id FROM dsp_clicks", sources=audience_sources(), controls="comparisons")
    assert found.text == "Object 'dsp_clicks' not found"


def test_only_an_instances_own_schema_may_be_named() -> None:
    sql = "SELECT COUNT(*) AS n FROM mine.dsp_clicks"
    assert [found.code for found in _refusals(sql)] == ["unknown-object"]
    query = compile_(sql, sources=sources(), privacy=Privacy(), schemas=frozenset({"mine"}))
    assert query.sources == ["dsp_clicks"]
