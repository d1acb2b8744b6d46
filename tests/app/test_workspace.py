from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
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
