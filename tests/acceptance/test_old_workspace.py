"""A workspace that amci 0.1.0 made before its modules moved: rows, one heavy run and one execution pending."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

import amci

OLD = Path(__file__).parents[1] / "workspaces" / "workspace-0.1.0.tar.xz"


@pytest.mark.filterwarnings("default:amci.lake.model is going away:DeprecationWarning")
def test_an_old_workspace_opens_drains_and_answers(tmp_path: Path) -> None:
    with tarfile.open(OLD) as archive:
        archive.extractall(tmp_path, filter="data")
    with amci.open(tmp_path / "insights") as ws:
        assert {run.kind for run in ws.runs(status="PENDING")} == {"heavy", "execute"}
        # Its transform imports from where the documents once said.
        with pytest.warns(DeprecationWarning, match="from amci import Placement"):
            ws.drain()
        assert not ws.runs(status="PENDING")
        rows = {table["table"]: (table["rows"], table["objects"]) for table in ws.tables()}
        assert rows["shop_shop_orders.orders"] == (490, 2)
        assert rows["stores_visits.north_visits"] == (4, 2)
        assert rows["adtech_amc.northwind_outdoor_campaign_reach_adhoc"][1] == 2
        stores = ws.query("SELECT store_id FROM stores_visits.north_visits ORDER BY ALL").fetchall()
        assert stores == [("0042",), ("0042",), ("0043",), ("0044",)]
