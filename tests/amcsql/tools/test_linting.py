"""What can be said of a query before it runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from amci.amcsql.binder.parameters import Declared
from amci.amcsql.findings import Place
from amci.amcsql.grammar.parsing import Mode
from amci.amcsql.query import Controls, Query
from amci.amcsql.sources import Column, Kind, Source, tables_for
from amci.amcsql.tools import linting
from amci.amcsql.tools.findings_text import finding_lines, in_file, summary
from amci.amcsql.tools.linting import Lint, reads_audience_tables
from amci.workflows.definitions import library
from amci.workflows.definitions.definition import Workflow, amc_parameters

CONFIG = Path(__file__).parents[3] / "config" / "workflows"
WORKFLOWS = library.read(CONFIG, [], lambda path: path.name)
POSTAL = """
SELECT postal_code AS place, campaign, SUM(impressions) AS impressions, COUNT(DISTINCT user_id) AS users
FROM dsp_impressions GROUP BY 1, 2
"""


def lint(
    sql: str,
    declared: Declared = (),
    *,
    kind: Kind = "workflow",
    mode: Mode = "lenient",
    uploaded: Mapping[str, Source] | None = None,
    removes_values: bool = False,
) -> Lint:
    controls: Controls = "comparisons" if kind == "audience" else "all"
    query = Query.of(
        sql, tables_for(kind, uploaded), declared=declared, mode=mode, controls=controls, reads_on=True
    )
    return linting.lint(query, removes_values=removes_values)


def codes(found: Lint) -> list[str]:
    return [risk.code for risk in found.risks]


@pytest.mark.parametrize("workflow", WORKFLOWS.values(), ids=lambda w: w.workflow_id)
def test_the_workflows_of_the_example_pass_and_use_what_they_declare(workflow: Workflow) -> None:
    found = lint(workflow.sql, amc_parameters(workflow), mode="strict")
    assert found.errors == []
    assert all(parameter.is_declared and parameter.is_used for parameter in found.parameters)
    assert found.columns
    assert found.tables
    json.dumps(found.document())


def test_a_column_says_what_it_is_and_why_it_needs_so_many_users() -> None:
    place, campaign, impressions, users = lint(POSTAL).columns
    assert (place.name, place.type, place.kind, place.threshold, place.users) == (
        "place",
        "STRING",
        "DIMENSION",
        "HIGH",
        100,
    )
    assert place.because == ["dsp_impressions.postal_code"]
    assert (campaign.threshold, campaign.users) == ("LOW", 2)
    assert (impressions.kind, impressions.users, impressions.because) == ("METRIC", 1, [])
    assert users.kind == "DIMENSION"
    assert [c.is_key for c in (place, campaign, impressions, users)] == [True, True, False, False]


@pytest.mark.parametrize(
    "sql",
    [
        "WITH a AS (SELECT postal_code AS p FROM dsp_impressions) SELECT p, COUNT(1) AS n FROM a GROUP BY 1",
        "SELECT p, COUNT(1) AS n FROM (SELECT UPPER(postal_code) AS p FROM dsp_impressions) GROUP BY 1",
        """WITH a(p) AS (SELECT postal_code FROM dsp_impressions UNION ALL SELECT campaign FROM dsp_clicks)
           SELECT COALESCE(x.p, x.p) AS p, COUNT(1) AS n FROM a x GROUP BY 1""",
    ],
    ids=["with", "sub-query", "union"],
)
def test_the_cause_is_found_through_every_layer(sql: str) -> None:
    found = lint(sql)
    assert found.errors == []
    assert found.columns[0].because == ["dsp_impressions.postal_code"]


def test_a_column_that_may_never_be_shown_has_no_number_of_users() -> None:
    found = lint("SELECT MAX(user_id) AS who, SUM(impressions) AS n FROM dsp_impressions")
    assert found.columns[0].users is None
    assert [finding.code for finding in found.errors] == ["privacy-output"]
    assert found.risks == []


def test_a_sensitive_column_is_a_risk_and_said_so() -> None:
    risk = lint(POSTAL).risks[0]
    assert (risk.code, risk.columns) == ("threshold", ["place"])
    assert risk.text == (
        "A row needs 100 users, because it shows place (threshold HIGH, from dsp_impressions.postal_code)."
    )
    assert risk.hint.startswith("without it, 2 users are enough")
    assert "filtered_metrics_discriminator_column" in risk.hint
    assert "filtered_metrics" not in lint(POSTAL, removes_values=True).risks[0].hint


@pytest.mark.parametrize(
    ("key", "is_risky"),
    [
        ("postal_code", True),
        ("impression_dt_utc", True),
        ("creative", True),
        ("device_type", False),
        ("campaign", False),
        ("IF(city_name IS NULL, 'nowhere', 'somewhere')", False),
    ],
)
def test_groups_of_few_users_are_a_risk(key: str, is_risky: bool) -> None:
    found = lint(f"SELECT {key} AS k, campaign, SUM(impressions) AS n FROM dsp_impressions GROUP BY 1, 2")
    assert ("many-values" in codes(found)) == is_risky


def test_many_columns_a_few_contributors_and_several_tables_are_risks() -> None:
    sql = """
    SELECT campaign, device_type, browser_family, ad_slot_size, SUM(i.impressions) AS seen, SUM(c.clicks) AS clicks
    FROM dsp_impressions i LEFT JOIN dsp_clicks c ON c.user_id = i.user_id GROUP BY 1, 2, 3, 4
    """.replace("campaign,", "i.campaign,").replace("device_type", "i.device_type")
    sql = sql.replace("browser_family", "i.browser_family").replace("ad_slot_size", "i.ad_slot_size")
    found = lint(sql)
    assert found.errors == []
    assert codes(found) == ["many-columns", "few-contributors", "paths"]
    assert found.risks[1].columns == ["clicks"]
    assert "dsp_impressions and dsp_clicks" in found.risks[2].text


def test_a_query_without_users_has_no_risks() -> None:
    found = lint("SELECT segment_id, COUNT(1) AS n FROM segment_metadata GROUP BY 1")
    assert (found.errors, found.risks) == ([], [])


def test_tables_say_what_they_need() -> None:
    own = Source(
        name="my_buyers",
        category="ADVERTISER",
        kind="DIMENSION",
        event_time=None,
        columns=(Column("user_id", "STRING", "DIMENSION", "VERY_HIGH"),),
        is_uploaded=True,
    )
    sql = """
    SELECT COUNT(DISTINCT a.user_id) AS n FROM dsp_impressions a
    JOIN my_buyers b ON b.user_id = a.user_id JOIN experian_vehicle_purchases c ON c.user_id = a.user_id
    JOIN dsp_impressions d ON d.user_id = a.user_id
    """
    found = lint(sql, uploaded={"my_buyers": own})
    assert {table.name: (table.access, table.reads) for table in found.tables} == {
        "dsp_impressions": ("included", 2),
        "my_buyers": ("uploaded", 1),
        "experian_vehicle_purchases": ("paid", 1),
    }
    assert [finding.code for finding in lint(sql).errors] == ["unknown-object"]


def test_parameters_are_used_declared_or_missing() -> None:
    sql = "SELECT SUM(impressions) AS n FROM dsp_impressions WHERE campaign = CUSTOM_PARAMETER('a')"
    found = lint(sql, [{"name": "b", "dataType": "LONG", "defaultValue": 3}])
    assert [(p.name, p.is_declared, p.is_used, p.default) for p in found.parameters] == [
        ("b", True, False, 3),
        ("a", False, True, None),
    ]
    assert [finding.code for finding in found.errors] == ["undeclared-parameter"]


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("SELECT user_id, event_subtype FROM conversions_for_audiences", "audience-columns"),
        ("SELECT user_id FROM conversions_for_audiences;", "semicolon"),
        ("SELECT user_id FROM conversions", "unknown-object"),
    ],
)
def test_an_audiences_query_has_rules_of_its_own(sql: str, code: str) -> None:
    found = lint(sql, kind="audience")
    assert [finding.code for finding in found.errors] == [code]
    assert not [each for each in found.findings if each.severity != "error" and each.code == code]


def test_an_audience_that_amc_takes_is_fine() -> None:
    sql = "SELECT user_id FROM conversions_for_audiences WHERE event_subtype = 'order'"
    found = lint(sql, kind="audience")
    assert found.findings == []
    assert summary(found) == "fine: an audience"
    assert found.tables[0].access == "audiences"


@pytest.mark.parametrize(
    ("sql", "does"),
    [
        ("SELECT user_id FROM Conversions_For_Audiences", True),
        ("SELECT 1 FROM TABLE(EXTEND_TIME_WINDOW('dsp_clicks_for_audiences', 'P1D', 'P0D'))", True),
        ("SELECT 1 -- FROM conversions_for_audiences", False),
        ("SELECT 'a", False),
    ],
)
def test_an_audiences_query_is_known_by_its_tables(sql: str, does: bool) -> None:
    assert reads_audience_tables(sql) == does


def test_strict_refuses_what_lenient_doubts() -> None:
    sql = "SELECT campaign, SUM(impressions) AS n FROM dsp_impressions GROUP BY 1 ORDER BY 2"
    assert [finding.severity for finding in lint(sql).findings] == ["warning"]
    assert [finding.severity for finding in lint(sql, mode="strict").findings] == ["error"]


def test_what_cannot_be_parsed_is_found_once_and_nothing_else() -> None:
    found = lint("SELECT FROM", [{"name": "a", "dataType": "LONG"}])
    assert len(found.errors) == 1
    assert (found.columns, found.tables, found.risks) == ((), (), ())
    assert summary(found) == "1 error"


KEYS: dict[str, Any] = {
    "findings": {"severity", "code", "text", "hint", "line", "column", "end_line", "end_column"},
    "columns": {"name", "type", "kind", "threshold", "users", "is_key", "because"},
    "tables": {"name", "category", "kind", "access", "reads"},
    "parameters": {"name", "data_type", "default", "is_declared", "is_used"},
    "risks": {"code", "text", "hint", "columns"},
}


def test_the_document_for_editors_keeps_its_shape() -> None:
    sql = f"{POSTAL.replace('campaign,', 'campain,')} HAVING SUM(impressions) > CUSTOM_PARAMETER('a')"
    found = lint(sql).document() | {"columns": lint(POSTAL).document()["columns"]}
    assert set(found) == {"kind", "is_ok", "users", *KEYS}
    assert found["is_ok"] is False
    for name, keys in KEYS.items():
        assert found[name]
        assert all(set(each) == keys for each in found[name])


def test_a_mark_stands_below_what_is_meant() -> None:
    sql = "SELECT\n\tcampain, SUM(impressions)\nFROM dsp_impressions GROUP BY 1"
    (finding,) = lint(sql).findings
    lines = list(finding_lines(finding, sql, "a.sql", finding.place))
    assert lines == [
        "a.sql:2:2: error: Column 'campain' not found in any table [unknown-column]",
        "    2 | \tcampain, SUM(impressions)",
        "      | \t^^^^^^^",
        "  hint: did you mean campaign?",
    ]


def test_wide_signs_before_a_mark_move_it() -> None:
    sql = "SELECT '日本' AS a, campain, SUM(impressions) AS n FROM dsp_impressions GROUP BY 1, 2"
    (finding,) = lint(sql).findings
    line, mark = list(finding_lines(finding, sql, "a.sql", finding.place))[1:3]
    assert mark.index("^") == line.index("campain") + 2


def test_a_place_is_told_where_the_query_stands_in_its_file() -> None:
    assert in_file(Place(1, 8, 2, 3), 4, 2) == Place(5, 10, 6, 5)
