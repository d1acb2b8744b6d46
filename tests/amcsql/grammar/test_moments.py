"""Constants that no calendar or clock has: DuckDB makes other moments of some, AMC refuses them."""

from __future__ import annotations

import pytest
from sqlglot import exp

from amci.amcsql.functions.casts import tried
from amci.amcsql.grammar.parsing import read

PLACES = [
    "SELECT {} AS at, SUM(impressions) AS n FROM dsp_impressions GROUP BY 1",
    "SELECT campaign FROM dsp_impressions WHERE at = {} GROUP BY 1",
    "SELECT campaign FROM dsp_impressions WHERE at IN (DATE '2025-01-01', {}) GROUP BY 1",
    "SELECT campaign FROM dsp_impressions WHERE at NOT IN ({}) GROUP BY 1",
    "SELECT campaign FROM dsp_impressions WHERE at BETWEEN {} AND at GROUP BY 1",
    "SELECT campaign FROM dsp_impressions a JOIN t ON a.at < {} GROUP BY 1",
    "SELECT campaign FROM dsp_impressions GROUP BY 1 HAVING MAX(at) > {}",
    "SELECT CASE WHEN at > {} THEN 1 END AS x FROM (SELECT EXTRACT(HOUR FROM {}) AS at FROM t)",
]
WRONG = [
    *(f"DATE '{said}'" for said in ("2025-02-30", "2025-13-01", "2025-00-10", "20250101", "0000-01-01")),
    *(f"DATE '{said}'" for said in ("2025-01-01 10:00:00", "today", "infinity", "2025-01-01 (BC)")),
    *(
        f"TIMESTAMP '{said}'"
        for said in ("2025-01-01 24:00:00", "2025-02-29 10:00:00", "2025-01-01T10:00:00")
    ),
    *(f"TIMESTAMP '{said}'" for said in ("2025-01-01 10:00:00Z", "2025-01-01 10:00:00+02", "infinity")),
    "CAST('2025-02-30' AS DATE)",
    "cast('2025-01-01 24:00:00' as timestamp)",
    "CAST('2025-01-01T24:00:00' AS TIMESTAMP)",
    "CAST('2025-02-30 10:00' AS TIMESTAMP(3))",
]
RIGHT = [
    "DATE '2024-02-29'",
    "TIMESTAMP '2024-02-29 23:59:59'",
    "TIMESTAMP '2025-01-01 00:00:00.5'",
    "CAST('today' AS DATE)",
    "CAST('now' AS TIMESTAMP)",
    "CAST('2025-01-01T10:00:00Z' AS TIMESTAMP)",
    "CAST('2025-01-01' AS TIMESTAMP)",
    "CAST('24:00:00' AS VARCHAR)",
    "CAST('2025-01-01 10:00:00' AS DATE)",
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("constant", WRONG)
def test_a_moment_that_there_is_not_is_refused_wherever_it_stands(constant: str, place: str) -> None:
    sql = place.format(*[constant] * place.count("{}"))
    _, findings = read(sql, "strict")
    assert {finding.code for finding in findings} == {"moment"}
    assert len(findings) == place.count("{}")
    finding = findings[0]
    assert finding.text.startswith("Illegal ")
    assert "not in format" in finding.text
    assert finding.hint.startswith("write ")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("constant", ["TIME '24:00:00'", "TIME '10:00:00'", "CAST('25:00' AS TIME)"])
def test_a_time_without_a_day_is_refused_as_a_type_that_amc_does_not_have(constant: str, place: str) -> None:
    _, findings = read(place.format(*[constant] * place.count("{}")), "strict")
    assert {finding.code for finding in findings} == {"unknown-type"}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("constant", RIGHT)
def test_a_moment_that_there_is_passes(constant: str, place: str) -> None:
    tree, findings = read(place.format(*[constant] * place.count("{}")), "strict")
    assert findings == []
    assert tree is not None


@pytest.mark.parametrize(
    ("said", "family"),
    [("2025-01-01 24:00:00", "TIMESTAMP"), ("2025-02-30", "DATE"), ("2025-01-01 24:00", "DATE")],
)
def test_a_text_that_is_compared_with_moments_is_null_if_it_is_none(said: str, family: str) -> None:
    assert isinstance(tried(exp.Literal.string(said), family), exp.Null)  # type: ignore[arg-type]
