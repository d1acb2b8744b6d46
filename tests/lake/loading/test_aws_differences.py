"""What the page on differences says of values, databases and batches is what a lake does."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from amci.app.plan import Change, differences
from amci.app.session import open_session
from amci.kernel.dates import resolved
from amci.kernel.errors import UsageError
from amci.lake.upkeep.maintenance import Maintenance

PAGE = Path(__file__).parents[3] / "docs" / "differences.md"
DATABASE = "amcinsights_datalake_dev_adtech_amc_db"
HEAD = "zero,zeros,far,far_cost,padded,day,total,total,Total,Spend ($),Spend (€)"


@pytest.fixture(scope="module")
def lake(site_of: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One file, loaded as the page's example of a dataset says."""
    site = site_of(tmp_path_factory.mktemp("aws") / "workspace")
    (example,) = re.findall("```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    site.configure("datasets/amc.yaml", example)
    rows = "-0.0,-0.0,inf,inf, 1 ,2026-11-01,1,2,3,4,5\n-0.0,1.5,1,1,2,2026-11-02,1,2,3,4,5\n"
    site.put("acme/workflow=reach/schedule=daily/2026-11-01-reach.csv", f"{HEAD}\n{rows}")
    site.drain()
    return site


def first(lake: Any, *columns: str) -> tuple[Any, ...]:
    """Values of the first row."""
    names = ", ".join(columns)
    (row,) = lake.query(f"SELECT {names} FROM {DATABASE}.acme_reach_daily ORDER BY day LIMIT 1")
    return tuple(row)


def test_d_01_a_negative_zero_keeps_its_sign(lake: Any) -> None:
    zero, zeros = first(lake, "zero", "zeros")
    assert (math.copysign(1, zero), math.copysign(1, zeros)) == (-1, -1)


def test_d_02_infinity_is_a_number_where_the_name_says_so(lake: Any) -> None:
    assert first(lake, "far", "far_cost") == ("inf", math.inf)


def test_d_03_blanks_around_a_number_are_kept(lake: Any) -> None:
    assert first(lake, "padded") == (" 1 ",)


def test_d_04_a_second_column_of_a_name_is_numbered(lake: Any) -> None:
    assert first(lake, "total", "total_2", "total_c9b3c3") == (1, 2, 3)


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        (" NOW() ", "2026-11-05T06:07:08"),
        (" TODAY(-1)", "2026-11-04T00:00:00"),
        ("NOW( )", "NOW( )"),
        ("NOW", "NOW"),
    ],
)
def test_d_05_blanks_around_a_dynamic_date_do_not_count(text: str, becomes: str) -> None:
    assert resolved(text, datetime(2026, 11, 5, 6, 7, 8, tzinfo=UTC), ZoneInfo("UTC")) == becomes


def test_d_07_signs_keep_their_meaning(lake: Any) -> None:
    assert first(lake, "spend_dollar", "spend_euro") == (4, 5)


def test_d_06_a_dataset_may_have_a_batch_of_its_own(site: Any) -> None:
    site.dataset("amc", batch="2")
    key = "acme/workflow=reach/schedule=daily/2026-11-0{}-reach.csv"
    for day in range(1, 6):
        site.put(key.format(day), "a\n1\n")
    with site.engine() as engine:
        engine.ingest.look_everywhere()
        claims = [len(engine.runs.claim(["light"], "w", engine.project.settings.lease, 2000)) for _ in "1234"]
    assert claims == [2, 2, 1, 0]


def test_d_08_a_code_with_an_e_in_it_is_no_number(site: Any) -> None:
    site.dataset("own")
    site.put("adtech/own/t/1.csv", "sku,n\n1E5,1.5e+20\n12E3,2\n")
    site.drain()
    assert site.query("SELECT sku, n FROM adtech_own.t ORDER BY sku DESC") == [("1E5", 1.5e20), ("12E3", 2.0)]


def test_every_difference_of_values_is_tried() -> None:
    named = set(re.findall(r"^\| D-(\d\d) \|", PAGE.read_text(), re.MULTILINE))
    assert named == {name[7:9] for name in globals() if name.startswith("test_d_")}


def test_a_database_and_partitions_are_named_as_in_the_aws_solution(lake: Any) -> None:
    assert lake.tables() == [f"{DATABASE}.acme_reach_daily"]
    (modified, day) = first(lake, "file_last_modified", "day")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d", modified)
    assert day == "2026-11-01"
    tail = f"customer_hash=acme/export_year=2026/export_month=11/file_last_modified={modified}"
    for stage in (lake.workspace.pre_stage, lake.workspace.post_stage):
        (file,) = stage.rglob("*.parquet")
        assert file.parent.as_posix().endswith(tail)


def test_rows_move_to_the_database_that_a_dataset_names_later(site: Any) -> None:
    site.put("acme/workflow=reach/schedule=daily/2026-11-01-reach.csv", "a\n1\n")
    site.drain()
    site.dataset("amc", database="mine_{dataset}")
    with open_session(site.workspace, site.clock, {}) as opened:
        (planned,) = [each for each in differences(opened) if each.what == "dataset"]
    assert (planned.change, planned.name) == (Change.REPROCESS, "amc")
    assert "schema adtech_amc has objects of it (1), new ones go to mine_amc" in planned.says[0]
    assert site.reprocess(changed_only=True)["from_raw"] == 1
    tables = ("adtech_amc.acme_reach_daily", "mine_amc.acme_reach_daily")
    assert [site.query(f"SELECT count(*) FROM {table}") for table in tables] == [[(0,)], [(1,)]]
    old, new = tables
    with open_session(site.workspace, site.clock, {}) as opened:
        found = [each for each in differences(opened) if each.what in ("dataset", "table")]
    assert [(each.change, each.name) for each in found] == [(Change.DROP, old)]
    with site.engine() as engine, engine.catalog.exclusive("drop"):
        upkeep = Maintenance(site.workspace, engine.catalog, engine.state, site.clock, print)
        with pytest.raises(UsageError, match=f"table {new} has 1 rows of 1 objects"):
            upkeep.drop(new, dry_run=False)
        assert upkeep.drop(old, dry_run=True) == {"table": old, "dry_run": True}
        upkeep.drop(old, dry_run=False)
    with open_session(site.workspace, site.clock, {}) as opened:
        assert [each for each in differences(opened) if each.what in ("dataset", "table")] == []
    assert site.tables() == [new]
    # A later table of that name begins with nothing.
    site.dataset("amc", team="adtech")
    site.put("acme/workflow=reach/schedule=daily/2026-11-02-reach.csv", "b\nx\n")
    site.drain()
    assert site.query(f"SELECT b FROM {old}") == [("x",)]
