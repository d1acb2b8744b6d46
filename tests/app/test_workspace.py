from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

import amci

SQL = "SELECT campaign, SUM(impressions) AS n FROM dsp_impressions GROUP BY 1"


@pytest.fixture
def ws(tmp_path: Path) -> Iterator[amci.Workspace]:
    with amci.create(tmp_path / "insights") as workspace:
        yield workspace


def test_all_names_are_there_and_no_others() -> None:
    assert all(getattr(amci, name) is not None for name in amci.__all__)
    assert dir(amci) == sorted(amci.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = amci.nothing


def test_importing_amci_imports_nothing_heavy() -> None:
    script = "import sys, amci; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"duckdb", "pyarrow", "polars", "pydantic", "httpx"} & set(done.stdout.split())


def test_a_file_becomes_an_answer_in_every_form(ws: amci.Workspace) -> None:
    folder = ws.home / "raw" / "blue-kettle" / "shop" / "orders"
    folder.mkdir(parents=True)
    header = "Order ID;Line;Ordered At;Shipped At;SKU;Quantity;Unit Price;Currency;Status;"
    header += "Customer Name;Customer Email;Customer Phone"
    row = "o1;1;2026-11-02 00:00:01;;007;2;4.5;USD;cancelled;A B;a@example.com;"
    (folder / "orders-2026-11-02.csv").write_text(f"{header}\n{row}\n")
    drained = ws.drain()
    assert (drained.found.new, drained.tally.failed) == (1, 0), [run.reason for run in ws.runs()]
    (table,) = [row for row in ws.tables() if row["table"] == "shop_shop_orders.orders"]
    assert table["rows"] == 1
    answer = ws.query(
        "SELECT sku, sum(quantity) AS n, NULL::INT AS gone FROM shop_shop_orders.orders GROUP BY 1"
    )
    assert answer.columns == ("sku", "n", "gone")
    assert answer.fetchall() == [("007", 2, None)]
    assert answer.to_polars()["sku"].to_list() == ["007"]
    assert answer.to_arrow().num_rows == len(answer) == 1
    # A second answer leaves the first as it is.
    assert ws.query("SELECT 1").fetchall() == [(1,)]
    assert answer.fetchall() == [("007", 2, None)]


def test_a_workflow_runs_and_its_rows_can_be_asked_for(ws: amci.Workspace) -> None:
    ws.apply(["blue-kettle"])
    run = ws.run("campaign_reach", tenant="blue-kettle", window="MOST_RECENT_WEEK")
    assert (run.status, run.reason) == ("SUCCEEDED", "")
    assert run.key is not None
    queued = ws.run("campaign_reach", tenant="blue-kettle", window="MOST_RECENT_DAY", wait=False)
    assert (queued.status, queued.execution) == ("PENDING", None)


def test_what_does_not_exist_is_said(ws: amci.Workspace) -> None:
    with pytest.raises(amci.NotFound, match="no tenant 'blue-kettl'") as error:
        ws.run("campaign_reach", tenant="blue-kettl")
    assert "blue-kettle" in error.value.hint
    with pytest.raises(amci.UsageError):
        ws.run("campaign_reach", tenant="blue-kettle", window="LAST_WEEK")
    with pytest.raises(amci.NotFound, match="lake is empty"):
        ws.query("SELECT 1")


def test_amc_sql_is_checked_by_text_and_by_name(ws: amci.Workspace) -> None:
    assert not ws.sql.check(SQL).errors
    assert not ws.sql.check("campaign_reach", tenant="blue-kettle").errors
    assert ws.sql.check(SQL.replace("campaign,", "campain,")).errors


#: A program of somebody else, whose types a checker has to know.
PROGRAM = """
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import assert_type

import pandas as pd
import polars as pl

import amci
from amci.amcsql.privacy.thresholds import Rule

with amci.open("insights") as ws:
    assert_type(ws, amci.Workspace)
    assert_type(ws.home, Path)
    answer = ws.query("SELECT 1", tenant="acme")
    assert_type(answer, amci.QueryAnswer)
    assert_type(answer.to_pandas(), pd.DataFrame)
    assert_type(answer.to_polars(), pl.DataFrame)
    run = ws.run("reach", tenant="acme", parameters={"n": 1}, wait=False)
    assert_type(run, amci.ExecutionRun)
    assert_type(run.rows, int | None)
    assert_type([finding.text for finding in ws.sql.check("SELECT 1").errors], list[str])
    assert_type(ws.amc("acme").delete_workflow("reach"), bool)
    assert_type(ws.sql.run("SELECT 1", scale=0.5).names, Sequence[str])
    assert_type([(row.rule, row.count) for row in ws.sql.run("SELECT 1").redacted], list[tuple[Rule, int]])
    ws.sql.run("SELECT 1", scales=0.5)  # type: ignore[call-arg]
    ws.run("reach")  # type: ignore[call-arg]
    ws.querry("SELECT 1")  # type: ignore[attr-defined]


def light(obj: amci.RawObject) -> amci.Placement | amci.Skip:
    assert_type(obj.fields, Mapping[str, str])
    return amci.Placement(table="visits")


try:
    amci.create("insights")
except amci.AmciError as error:
    assert_type(error.hint, str)
"""


def test_a_type_checker_knows_the_whole_api(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    settings = Path(amci.__file__).parent.parent / "pyproject.toml"
    checker = [sys.executable, "-m", "mypy", "--config-file", settings, "--strict", program]
    done = subprocess.run(checker, cwd=settings.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_what_privacy_took_from_a_result_is_typed(ws: amci.Workspace) -> None:
    sql = "SELECT postal_code, SUM(impressions) AS n FROM dsp_impressions GROUP BY 1"
    run = partial(ws.sql.run, sql, scale=0.002, last="2026-06-30", window="2026-06-25..2026-07-01")
    ran = run()
    assert ran.rows == []
    assert {(row.read.table, row.limit > row.count) for row in ran.redacted} == {("dsp_impressions", True)}
    one = next(row for row in ran.redacted if row.rule == "distinct" and row.limit == 100)
    assert list(one.values) == ["postal_code", "n"]
    assert one.columns == ["postal_code"]
    assert (one.short, one.required) == (100 - one.count, 100)
    assert run(has_privacy=False).redacted == ()
