from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, strategies as st

from amci.kernel.config import parsed
from amci.kernel.errors import ConfigError, UsageError
from amci.tenants.model import Tenant
from amci.workflows.amc.model import TimeWindow, WindowType
from amci.workflows.definitions import definition_check, sql
from amci.workflows.definitions.definition import WindowSpec, Workflow, amc_definition

ACME = Tenant(tenant="acme", tags=("uk", "toys"), instance_id="amcacme")
ARRAY = {"type": "ARRAY", "elementDataType": "STRING"}


def workflow(**fields: Any) -> Workflow:
    return parsed(Workflow, {"workflow_id": "reach", "sql": "SELECT 1", **fields}, "reach.yaml")


def faults(**fields: Any) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        workflow(**fields)
    return [f"{p.field}: {p.says}" for p in refused.value.problems]


def test_amcs_own_spelling_and_ours_are_the_same_workflow() -> None:
    ours = workflow(
        sql="SELECT CUSTOM_PARAMETER('days')",
        input_parameters=[
            {
                "name": "days",
                "data_type": "LONG",
                "column_type": "METRIC",
                "default_value": 7,
                "display_name": "Days",
            }
        ],
        filtered_metrics_discriminator_column="filtered",
        distinct_user_count_column="users",
        privacy_filtering_behavior="REMOVE_VALUES",
    )
    amcs = {
        "workflowId": "reach",
        "sqlQuery": "SELECT CUSTOM_PARAMETER('days')",
        "inputParameters": [
            {
                "name": "days",
                "dataType": "LONG",
                "columnType": "METRIC",
                "defaultValue": 7,
                "displayName": "Days",
            }
        ],
        "filteredMetricsDiscriminatorColumn": "filtered",
        "distinctUserCountColumn": "users",
        "privacyFilteringBehavior": "REMOVE_VALUES",
    }
    assert parsed(Workflow, amcs, "reach.json") == ours
    assert amc_definition(ours, ACME) == amcs


def test_the_misspelling_of_amcs_own_sample_is_taken() -> None:
    found = workflow(inputParameters=[{"name": "a", "dataType": "string", "column_type": "DIMENSION"}])
    assert str(found.input_parameters[0].data_type) == "STRING"


def test_a_request_of_the_aws_solution_is_a_workflow_for_its_customer() -> None:
    definition = {"workflowId": "reach", "sqlQuery": "SELECT 1"}
    inner = {"customerId": "acme", "requestType": "createWorkflow", "workflowDefinition": definition}
    expected = workflow(tenants=["acme"])
    assert parsed(Workflow, {"customerId": "acme", "workflowRequest": inner}, "w") == expected
    assert parsed(Workflow, inner, "w") == expected
    assert parsed(Workflow, {"workflowDefinition": definition}, "w") == workflow()


def test_the_id_of_a_request_falls_back_to_that_of_its_definition() -> None:
    request = {
        "requestType": "updateWorkflow",
        "workflowId": "reach",
        "workflowDefinition": {"sqlQuery": "SELECT 1"},
    }
    assert parsed(Workflow, {"workflowRequest": request}, "w").workflow_id == "reach"


@pytest.mark.parametrize("request_type", ["deleteWorkflow", "getWorkflow", "createExecution"])
def test_a_request_that_defines_nothing_is_refused(request_type: str) -> None:
    inner = {
        "requestType": request_type,
        "workflowId": "reach",
        "workflowDefinition": {"sqlQuery": "SELECT 1"},
    }
    with pytest.raises(ConfigError, match="defines no workflow"):
        parsed(Workflow, {"workflowRequest": inner}, "w")
    with pytest.raises(ConfigError, match="no workflowDefinition"):
        parsed(Workflow, {"workflowRequest": {"customerId": "acme"}}, "w")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"workflow_id": "a b"}, "workflow_id: should have letters"),
        ({"workflow_id": "../x"}, "workflow_id: should have letters"),
        ({"workflow_id": ".x"}, "workflow_id: should have letters"),
        ({"version": 0}, "version: input should be greater than or equal to 1"),
        ({"sqlQuery": "SELECT 2"}, ": 'sqlQuery' stands twice, in two spellings"),
        ({"inputParameter": []}, "inputParameter: unknown key (did you mean 'input_parameters'?)"),
        (
            {"inputParameters": [{"name": "a", "dataType": "TEXT"}]},
            "input_parameters.0.data_type: should be one of",
        ),
        (
            {"inputParameters": [{"name": "a", "dataType": {"type": "MAP"}}]},
            "input_parameters.0.data_type: should be one",
        ),
        (
            {"inputParameters": [{"name": "a", "dataType": "BYTE", "defaultValue": 300}]},
            "input_parameters.0.default_value: 300 is out of range",
        ),
        (
            {"inputParameters": [{"name": "a", "dataType": "DATE", "defaultValue": "TODAY(x)"}]},
            "input_parameters.0.default_value: 'TODAY(x)' has no whole number",
        ),
        ({"inputParameters": [{"name": "a", "dataType": "LONG"}] * 2}, "input_parameters: 'a' stands twice"),
        (
            {"inputParameters": [{"name": "days", "dataType": "LONG"}], "values": {"acme": {"day": 1}}},
            "values: acme: no parameter 'day' (did you mean 'days'?)",
        ),
        (
            {"inputParameters": [{"name": "days", "dataType": "LONG"}], "values": {"acme": {"days": "x"}}},
            "values: acme: parameter days: 'x' is not a whole number",
        ),
        ({"window": {"type": "LAST_WEEK"}}, "window.type: input should be 'EXPLICIT'"),
        ({"all_tenants": True, "tenants": ["acme"]}, ": should name tenants or tenant_tags"),
        ({"privacyFilteringBehavior": "KEEP"}, "privacy_filtering_behavior: input should be"),
    ],
)
def test_a_mistake_is_said_with_its_field(fields: dict[str, Any], says: str) -> None:
    assert any(fault.startswith(says) for fault in faults(**fields)), faults(**fields)


@pytest.mark.parametrize(
    ("fields", "is_for"),
    [
        ({}, True),
        ({"all_tenants": False}, False),
        ({"tenants": ["acme"]}, True),
        ({"tenants": ["other"]}, False),
        ({"tenant_tags": ["toys"]}, True),
        ({"tenant_tags": ["us"], "tenants": ["acme"]}, True),
        ({"tenant_tags": ["us"]}, False),
    ],
)
def test_a_workflow_is_for_those_it_names_or_for_all(fields: dict[str, Any], is_for: bool) -> None:
    assert workflow(**fields).is_for(ACME) is is_for


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (None, TimeWindow()),
        ({"type": "MOST_RECENT_WEEK"}, TimeWindow(type=WindowType.MOST_RECENT_WEEK)),
        (
            {"start": "TODAY(-7)", "end": "TODAY()", "timeZone": "Europe/Berlin"},
            TimeWindow(type=WindowType.EXPLICIT, start="TODAY(-7)", end="TODAY()", time_zone="Europe/Berlin"),
        ),
    ],
)
def test_start_or_end_alone_say_explicit(spec: Any, expected: TimeWindow) -> None:
    found = workflow(window=spec)
    assert found.time_window == expected
    assert (found.window or WindowSpec()).value() == expected


def test_amc_gets_a_tenants_defaults_and_no_dynamic_dates() -> None:
    found = workflow(
        input_parameters=[
            {"name": "days", "data_type": "LONG", "default_value": 7},
            {"name": "since", "data_type": "DATE", "default_value": "TODAY(-1)", "description": "First day."},
            {"name": "asins", "data_type": ARRAY, "default_value": []},
            {"name": "brand", "data_type": "STRING"},
        ],
        values={"acme": {"brand": "Kettle"}, "other": {"brand": "Atlas"}},
        more={"query": "e30="},
    )
    tenant = ACME.model_copy(update={"values": {"days": "14"}})
    definition = amc_definition(found, tenant)
    assert definition["inputParameters"] == [
        {"name": "days", "dataType": "LONG", "columnType": "DIMENSION", "defaultValue": 14},
        {"name": "since", "dataType": "DATE", "columnType": "DIMENSION", "description": "First day."},
        {"name": "asins", "dataType": ARRAY, "columnType": "DIMENSION", "defaultValue": []},
        {"name": "brand", "dataType": "STRING", "columnType": "DIMENSION", "defaultValue": "Kettle"},
    ]
    assert definition["query"] == "e30="


def test_a_workflow_shown_as_values_can_be_read_again() -> None:
    found = workflow(
        input_parameters=[{"name": "asins", "data_type": ARRAY}, {"name": "n", "data_type": "LONG"}]
    )
    shown = found.model_dump(mode="json")
    assert shown["input_parameters"][0]["data_type"] == ARRAY
    assert parsed(Workflow, {**shown, "all_tenants": False}, "w").input_parameters[1].data_type.of == "LONG"


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("SELECT 1 -- one\nFROM t", "SELECT 1 \nFROM t"),
        ("-- first\nSELECT '--no', \"a--b\" FROM t -- last", "\nSELECT '--no', \"a--b\" FROM t"),
        ("SELECT 'it''s -- so' FROM t;", "SELECT 'it''s -- so' FROM t"),
        ("SELECT 'back\\' -- slash\nFROM t", "SELECT 'back\\' \nFROM t"),
        ("SELECT 1;;\n ; -- end", "SELECT 1"),
        ("SELECT ';' ;", "SELECT ';'"),
        ("SELECT 1 /* kept -- whole ; */ FROM t", "SELECT 1 /* kept -- whole ; */ FROM t"),
        ("SELECT 1 /* a /* b */ FROM t", "SELECT 1 /* a /* b */ FROM t"),
        ("SELECT a - -b, a --b\n, c", "SELECT a - -b, a \n, c"),
        ("SELECT\t1,\r\n  2", "SELECT\t1,\r\n  2"),
        ("SELECT 'zwölf – 十二' -- ü\n", "SELECT 'zwölf – 十二'"),
    ],
)
def test_amc_gets_the_sql_as_written_but_for_comments_and_the_semicolon(written: str, sent: str) -> None:
    assert sql.as_sent(written) == sent
    assert sql.as_sent(sent) == sent
    assert sql.sql_hash(written) == sql.sql_hash(sent)


PIECES = [
    "a",
    "'x -- y'",
    "'it''s; '",
    '"n--m"',
    "-- why\n",
    "/* b -- ; */",
    "\n",
    " ",
    ",",
    "(",
    "-",
    "*",
    "/",
    "'\\'",
]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_removing_comments_leaves_every_token_and_every_line_where_it_was(rest: str) -> None:
    text = f"SELECT 1 {rest} z"
    try:
        before = sql.tokens(text)
    except UsageError:
        return
    sent = sql.as_sent(text)
    after = sql.tokens(sent)
    assert [(t.text, t.token_type, t.line) for t in after] == [(t.text, t.token_type, t.line) for t in before]
    # Inside a comment of the other kind it stays.
    assert not any(comment == " why" for token in after for comment in token.comments)


@pytest.mark.parametrize("text", ["", " -- nothing\n", "SELECT 1; SELECT 2"])
def test_only_one_statement_is_sent(text: str) -> None:
    with pytest.raises(UsageError, match="statements"):
        sql.as_sent(text)


def test_the_hash_of_sql_is_that_of_its_tokens() -> None:
    base = sql.sql_hash("SELECT a, 'x  y' FROM t")
    assert sql.sql_hash("  SELECT\n\ta,'x  y'  -- why\nFROM /* here */ t ;") == base
    others = [
        "SELECT a, 'x y' FROM t",
        "SELECT A, 'x  y' FROM t",
        "SELECT a 'x  y' FROM t",
        'SELECT a, "x  y" FROM t',
    ]
    assert base not in {sql.sql_hash(other) for other in others}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("SELECT 1", ""),
        ("(SELECT 1) UNION ALL (SELECT 2)", ""),
        ("-- note\nwith a AS (SELECT 1) SELECT * FROM a;", ""),
        ("", "has no statement"),
        (";;", "has no statement"),
        ("SELECT 1; SELECT 2", "should be one statement, and is 2"),
        ("SELECT ';'; ", ""),
        ("DELETE FROM t", "should begin with SELECT or WITH, not with DELETE"),
        ("SELECT 'a", "a string or a comment that does not end"),
        ("SELECT /* a", "a string or a comment that does not end"),
        ("SELECT (1", "has a parenthesis"),
        ("SELECT 1)(", "has a parenthesis"),
        ("SELECT ')'", ""),
    ],
)
def test_sql_that_is_no_select_is_found_by_its_tokens(text: str, says: str) -> None:
    assert (says in sql.fault(text)) if says else sql.fault(text) == ""


def test_every_mistake_that_can_be_seen_without_amc_is_a_problem_of_the_file() -> None:
    found = workflow(
        sql="SELECT CUSTOM_PARAMETER('day'), CUSTOM_PARAMETER('x')",
        input_parameters=[{"name": "days", "data_type": "LONG"}],
        window={"type": "ALL", "start": "TODAY()"},
    )
    said = [(p.file, p.field, p.says) for p in definition_check.problems(found, "f.yaml")]
    assert said[0] == (
        "f.yaml",
        "input_parameters",
        "the SQL uses CUSTOM_PARAMETER('day'), not declared (did you mean 'days'?)",
    )
    assert said[1][2] == "the SQL uses CUSTOM_PARAMETER('x'), not declared"
    assert said[2][1] == "window"
    assert len(said) == 3
    assert [p.field for p in definition_check.problems(workflow(sql="SELECT 'a"), "f")] == ["sql"]


def test_a_parameter_that_is_not_used_is_a_warning() -> None:
    declared = [{"name": "a", "data_type": "LONG"}, {"name": "b", "data_type": "LONG"}]
    found = workflow(sql="SELECT CUSTOM_PARAMETER('a')", input_parameters=declared)
    assert definition_check.problems(found, "f") == []
    assert definition_check.warnings(found) == ["parameter b is declared, and the SQL does not use it"]
    assert definition_check.warnings(workflow(sql="SELECT 'a")) == []


def test_tenants_nobody_knows_and_values_that_do_not_fit_are_problems() -> None:
    days = [{"name": "days", "data_type": "LONG"}]
    found = {
        "reach": workflow(tenants=["acm", "acme"], values={"nobody": {}}, input_parameters=days),
        "other": workflow(
            workflow_id="other", tenants=["acme"], input_parameters=[{"name": "x", "data_type": "DATE"}]
        ),
    }
    says = "'many' is not a whole number, and LONG is wanted"
    tenants = {
        "acme": ACME.model_copy(update={"values": {"days": "many", "x": "2026-01-01"}}),
        "else": Tenant(tenant="else", values={"days": "not asked"}),
    }
    files = {"reach": "reach.yml", "other": "other.json"}, dict.fromkeys(tenants, "all.yaml")
    assert [str(p) for p in definition_check.tenant_problems(found, tenants, *files)] == [
        "reach.yml: tenants: no tenant 'acm' (did you mean 'acme'?)",
        "reach.yml: values: no tenant 'nobody'",
        f"all.yaml: values: workflow reach: tenant acme: parameter days: {says}",
    ]


def test_threads_that_read_different_texts_do_not_disturb_each_other() -> None:
    texts = [f"SELECT {', '.join(f'c{n} AS a' for n in range(size))} FROM t -- {size}" for size in range(200)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(sql.as_sent, texts))
    assert together == [sql.as_sent(text) for text in texts]
