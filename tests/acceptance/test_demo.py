from __future__ import annotations

import json
import shlex
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from amci.app import samples
from amci.app.engine import open_engine
from amci.app.init import create_workspace
from amci.cli import demo
from amci.cli.context import Context
from amci.kernel.clock import SystemClock
from amci.kernel.errors import AmciError, UsageError


@pytest.fixture(scope="module")
def shown(commands: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The demo, once, by the command line."""
    home = tmp_path_factory.mktemp("with space") / "demo here"
    done = subprocess.run(
        [commands / "amci", "demo", home, "--json"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return home, json.loads(done.stdout)


def outputs(shown: tuple[Path, dict[str, Any]], command: str) -> list[Any]:
    """What the commands that begin so have printed."""
    return [step["output"] for step in shown[1]["steps"] if step["command"].startswith(command)]


def deliveries(shown: tuple[Path, dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """What became of the files of the first and of the second delivery."""
    return outputs(shown, "amci lake files --limit")


def test_every_file_became_what_was_expected(shown: tuple[Path, dict[str, Any]]) -> None:
    delivered = [samples.first_delivery(), samples.second_delivery()]
    for files, wanted in zip(deliveries(shown), delivered, strict=True):
        outcomes = sorted((f["key"], f["outcome"]) for f in files)
        assert outcomes == sorted((s.key, s.expect) for s in wanted)


def test_what_is_in_the_lake_has_rows_and_what_is_not_has_a_reason(
    shown: tuple[Path, dict[str, Any]],
) -> None:
    for file in (f for files in deliveries(shown) for f in files):
        is_in = file["outcome"] in ("loaded", "replaced")
        assert (file["rows"] > 0) is is_in
        assert is_in or file["reason"]


def test_rows_that_a_rule_kept_out_are_told(shown: tuple[Path, dict[str, Any]]) -> None:
    first, second = deliveries(shown)
    key = "blue-kettle/shop/orders/orders-2026-10-02.csv"
    (spoilt,), (mended,) = ([f for f in files if f["key"] == key] for files in (first, second))
    assert "2 in quarantine: quality rule range_quantity" in spoilt["reason"]
    assert "1 in quarantine: quality rule unique_order_id_line" in spoilt["reason"]
    assert mended["reason"] == ""
    assert mended["rows"] == spoilt["rows"] + 2


def test_the_example_dataset_keeps_personal_data_out(shown: tuple[Path, dict[str, Any]]) -> None:
    home = shown[0]
    names = [b"@Example.com", b"@example.com", b"+1 555 01", b"Castillo"]
    raw = (home / "raw/blue-kettle/shop/orders/orders-2026-10-02.csv").read_bytes()
    assert b"@Example.com" in raw
    written = [p for part in ("stage", "state", "logs", "quarantine") for p in (home / part).rglob("*")]
    for path in (p for p in written if p.is_file()):
        found = [name for name in names if name in path.read_bytes()]
        assert not found, path


def test_the_questions_have_answers(shown: tuple[Path, dict[str, Any]]) -> None:
    costs, campaigns, keywords, orders = outputs(shown, "amci query")
    assert {row["tenant"] for row in costs} == {"northwind-outdoor", "blue-kettle", "atlas_pets"}
    assert {row["month"] for row in costs} == {"2026-09", "2026-10"}
    assert len(campaigns) == 4
    assert {row["tenant"] for row in campaigns} == {"northwind-outdoor", "blue-kettle"}
    assert all(row["impressions"] >= row["best_day"] > 0 and row["since"] < row["until"] for row in campaigns)
    assert len(keywords) == 5
    assert all(len(row["email_hash"]) == 13 and row["key"].endswith(".csv") for row in orders)


def test_the_whole_circle_went_round(shown: tuple[Path, dict[str, Any]]) -> None:
    (prepared,), (fires,), (executions,) = (
        outputs(shown, f"amci {name}") for name in ("apply", "schedule history", "exec list")
    )
    assert {run["status"] for run in prepared} == {"SUCCEEDED"}
    assert {run["about"] or run["kind"] for run in prepared} == {
        "provision",
        "create campaign_reach",
        "create attributed_sales",
    }
    assert all(fire["schedule"].startswith("reach-daily/") for fire in fires)
    assert [fire["decision"] for fire in fires] == ["created", "created"]
    results = {file["key"]: file["rows"] for file in outputs(shown, "amci lake files")[0]}
    assert sorted((e["tenant"], e["execution_status"], results[e["key"]] > 0) for e in executions) == [
        ("blue-kettle", "SUCCEEDED", True),
        ("northwind-outdoor", "SUCCEEDED", True),
    ]


def test_the_commands_to_go_on_with_work(shown: tuple[Path, dict[str, Any]]) -> None:
    commands = [c for c in shown[1]["next"] if " up " not in c]
    assert len(commands) == 8
    for command in commands:
        done = subprocess.run(
            shlex.split(command), input="SELECT 1;", capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout


def test_a_directory_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("")
    with pytest.raises(UsageError, match="is not empty"):
        demo.demo(Context(None), tmp_path)


def test_an_outcome_that_is_not_the_expected_one_is_an_error_that_names_the_file() -> None:
    files = [{"key": "a", "outcome": "skipped"}, {"key": "b", "outcome": "loaded"}]
    demo.insist({"a": "skipped"}, files)
    with pytest.raises(AmciError, match=r"1 files .*\nb: loaded, expected skipped") as told:
        demo.insist({"a": "skipped", "b": "skipped"}, files)
    assert told.value.exit_code == 1
    with pytest.raises(AmciError, match=r"\nc: missing, expected loaded"):
        demo.insist({"c": "loaded"}, files)


def test_the_example_dataset_takes_a_day_on_which_nothing_was_shipped(tmp_path: Path) -> None:
    workspace = create_workspace(tmp_path / "w")
    text = next(s.content for s in samples.first_delivery() if "/shop/" in s.key).decode()
    header, first, *_ = (line.split(";") for line in text.splitlines())
    first[header.index("Shipped At")] = ""
    key = "blue-kettle/shop/orders/orders-2026-12-24.csv"
    content = "\n".join(";".join(line) for line in (header, first)).encode()
    samples.write(workspace.raw, [samples.Sample(key, content, "", "loaded")])
    with open_engine(workspace, SystemClock(), {}) as engine:
        engine.drain(threading.Event())
        rows = engine.catalog.con.execute(
            "SELECT shipped_at, typeof(shipped_at), order_month FROM lake.shop_shop_orders.orders"
        ).fetchall()
    assert rows == [(None, "TIMESTAMP", "2026-10")]
