"""The seventeen use cases: asked over the sandbox's HTTP API, loaded into the lake, and shown on their pages."""

from __future__ import annotations

import csv
import importlib.util
import re
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree as ET

import duckdb
import pytest
import yaml

from amci.amcsql.query import Query
from amci.amcsql.sources import audience_sources, sources
from amci.app import plan
from amci.app.engine import Engine
from amci.kernel.run import RunStatus
from amci.tenants.model import Tenant
from amci.workflows.amc.model import ExecutionRequest, TimeWindow, WindowType
from amci.workflows.definitions.definition import amc_definition
from amci.workflows.executions.run_factory import execute_run

ROOT = Path(__file__).parent.parent.parent
WORKFLOWS, DOCS = ROOT / "config" / "workflows", ROOT / "docs"
CASES = yaml.safe_load(Path(__file__).with_name("use_cases.yaml").read_text())
SLUGS = sorted(CASES)
TENANT = (
    "tenant: acme\ntags: [use-cases]\ninstance_id: amcacme001\nadvertiser_id: ENTITYACME\n"
    "marketplace_id: ATVPDKIKX0DER\n"
)
SANDBOX = (
    "amc: {mode: sandbox, poll_first: 0s, poll_longest: 0s, adopt_within: 0s,"
    " sandbox: {seed: 1, scale: 0.01, days: 100}}\n"
)
#: Later than any file's time, so that files have landed; and always the same, so that events are.
NOW = datetime(2036, 7, 3, 6, tzinfo=UTC)
DAY = datetime(2036, 7, 2, tzinfo=UTC)
#: Where the workflow's own window has too few events, or no time behind it.
WINDOWS = {
    "cross_purchase": TimeWindow(type=WindowType.EXPLICIT, start="2036-03-27", end="2036-07-01"),
    "customer_lifetime_value": TimeWindow(type=WindowType.EXPLICIT, start="2036-03-27", end="2036-05-01"),
}


def apply(engine: Engine) -> None:
    """What `amci apply` does."""
    runs = plan.apply(engine.session, plan.differences(engine.session), prune=False, check=False)
    engine.finish([run.idempotency_key for run in runs], threading.Event())


def ask(engine: Engine, slug: str) -> None:
    """What `amci exec run` does."""
    project = engine.project
    window = WINDOWS.get(slug, project.workflows[slug].time_window)
    request = ExecutionRequest(workflow_id=slug, window=window)
    engine.runs.create([execute_run(project.tenants["acme"], request, key=slug, at=engine.clock.now())])


@pytest.fixture(scope="module")
def lake(site_of: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A workspace in which every use case was asked once, and its result loaded."""
    site = site_of(tmp_path_factory.mktemp("lake") / "workspace")
    site.clock.turn(NOW - site.clock.now())
    site.settings(SANDBOX)
    site.configure("tenants/acme.yaml", TENANT)
    for path in (path for slug in SLUGS for path in WORKFLOWS.glob(f"{slug}.*")):
        site.configure(f"workflows/{path.name}", path.read_text())
    with site.engine() as engine:
        apply(engine)
        for slug in SLUGS:
            ask(engine, slug)
        engine.finish(SLUGS, threading.Event())
        engine.drain(threading.Event())
    return site


@pytest.fixture(scope="module")
def pages() -> Iterator[ModuleType]:
    """docs/use_cases.py."""
    spec = importlib.util.spec_from_file_location("use_cases", DOCS / "use_cases.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["use_cases"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["use_cases"]


@pytest.fixture(scope="module")
def answers(pages: ModuleType) -> dict[str, Any]:
    """For each use case of the pages: the case, its workflow, its result, and the result without privacy rules."""
    found = pages.workflows()
    with pages.opened() as amc:
        return {
            case.slug: (
                case,
                found[case.slug],
                amc.run(found[case.slug], case),
                amc.run(found[case.slug], case, has_rules=False),
            )
            for case in pages.USE_CASES
        }


def table(slug: str) -> str:
    return f"adtech_amc.acme_{slug}_adhoc"


def test_every_use_case_is_a_workflow_for_those_who_ask_for_it(pages: ModuleType) -> None:
    found = pages.workflows()
    tagged = {name for name, workflow in found.items() if workflow.tenant_tags == ("use-cases",)}
    assert tagged == set(SLUGS) == {case.slug for case in pages.USE_CASES}
    assert len(SLUGS) == 17


def test_no_tenant_of_the_example_gets_them() -> None:
    tenants = [yaml.safe_load(path.read_text()) for path in (ROOT / "config" / "tenants").glob("*.yaml")]
    assert tenants
    assert not any("use-cases" in tenant.get("tags", []) for tenant in tenants)


@pytest.mark.parametrize("slug", SLUGS)
def test_amc_has_nothing_against_its_sql(pages: ModuleType, slug: str) -> None:
    workflow = pages.workflows()[slug]
    declared = amc_definition(workflow, Tenant(tenant="acme"))["inputParameters"]
    found = Query.of(workflow.sql, sources(), declared=declared, mode="strict")
    assert found.findings == []
    assert set(found.parameters) == {parameter["name"] for parameter in declared}


@pytest.mark.parametrize("path", [*(ROOT / "config" / "audiences").glob("*.sql")], ids=lambda path: path.stem)
def test_amc_has_nothing_against_the_sql_of_an_audience(path: Path) -> None:
    found = Query.of(path.read_text(), audience_sources(), mode="strict", controls="comparisons")
    assert found.findings == []
    assert found.bound is not None
    assert [output.name for output in found.bound.query.outputs] == ["user_id"]


@pytest.mark.parametrize("slug", SLUGS)
def test_a_use_case_comes_back_as_amcs_csv(lake: Any, slug: str) -> None:
    ((status, reason),) = lake.state(f"SELECT status, reason FROM runs WHERE idempotency_key = '{slug}'")
    assert (status, reason) == (RunStatus.SUCCEEDED, None)
    (path,) = lake.raw.glob(f"acme/workflow={slug}/schedule=adhoc/*.csv")
    header, *rows = csv.reader(path.read_text().splitlines(), escapechar="\\")
    assert header == list(CASES[slug]["columns"])
    assert rows
    assert {len(row) for row in rows} == {len(header)}


@pytest.mark.parametrize("slug", SLUGS)
def test_its_result_lands_with_the_right_types(lake: Any, slug: str) -> None:
    described = lake.query(f"DESCRIBE {table(slug)}")
    types = {name: kind for name, kind, *_ in described if name in CASES[slug]["columns"]}
    assert types == CASES[slug]["columns"]


@pytest.mark.parametrize("slug", SLUGS)
def test_what_a_marketer_knows_to_be_true_is_true(lake: Any, slug: str) -> None:
    facts = CASES[slug]["every_row"]
    tests = ", ".join(f"count(*) FILTER (WHERE ({fact}) IS NOT TRUE)" for fact in facts)
    (broken,) = lake.query(f"SELECT {tests} FROM {table(slug)}")
    assert [fact for fact, rows in zip(facts, broken, strict=True) if rows] == []


@pytest.mark.spread(2)
@pytest.mark.parametrize("slug", [slug for slug in SLUGS if "together" in CASES[slug]])
def test_what_is_true_of_all_rows_together(answers: dict[str, Any], slug: str) -> None:
    whole = answers[slug][3]
    columns = ", ".join(
        f"CAST(NULLIF(r[{at}], '') AS {CASES[slug]['columns'][name]}) AS \"{name}\""
        for at, name in enumerate(whole.header, 1)
    )
    facts = CASES[slug]["together"]
    with duckdb.connect() as con:
        (found,) = con.execute(
            f"SELECT {', '.join(facts)} FROM (SELECT {columns} FROM (SELECT unnest(?) AS r))",
            [[list(row) for row in whole.rows]],
        ).fetchall()
    assert [fact for fact, is_true in zip(facts, found, strict=True) if not is_true] == []


@pytest.mark.parametrize("slug", SLUGS)
def test_privacy_rules_take_away_and_add_nothing(
    answers: dict[str, Any], pages: ModuleType, slug: str
) -> None:
    _, _, shown, whole = answers[slug]
    assert 0 < len(shown.rows) <= len(whole.rows)
    if "filtered" not in shown.header:
        # The last digit of a sum may be another one.
        seen, there = (
            {tuple(map(pages._cell, result.header, row)) for row in result.rows} for result in (shown, whole)
        )
        assert seen <= there


@pytest.mark.parametrize("slug", SLUGS)
def test_a_page_shows_what_the_sandbox_answers(answers: dict[str, Any], pages: ModuleType, slug: str) -> None:
    text = (DOCS / "use-cases" / f"{slug}.md").read_text()
    assert pages.renewed(text, pages.blocks(*answers[slug])) == text, "run `python docs/use_cases.py`"


@pytest.mark.parametrize("slug", SLUGS)
def test_a_page_has_a_chart_with_named_axes_on_white(slug: str) -> None:
    assert f"({slug}.svg)" in (DOCS / "use-cases" / f"{slug}.md").read_text()
    text = (DOCS / "use-cases" / f"{slug}.svg").read_text()
    assert ET.fromstring(text).tag.endswith("svg")  # noqa: S314 - our own file
    assert "fill: #ffffff" in text
    assert "dc:date" not in text
    assert re.search(r">[^<]*(USD|users|share|cost|times|purchases|rate|customer)[^<]*</text>", text)


def test_the_index_names_every_page(pages: ModuleType) -> None:
    text = (DOCS / "use-cases" / "README.md").read_text()
    assert pages.renewed(text, {"index": pages._index(pages.workflows())}) == text
    assert all(f"]({slug}.md)" in text for slug in SLUGS)
