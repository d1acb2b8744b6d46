"""`amci sql …` as people call it: real files, the real engine, a world of a few people."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from amci.amcsql.functions.table import FUNCTIONS
from amci.amcsql.sources import audience_sources, sources
from amci.app.amc_connection import sandbox_options
from amci.app.project import load
from amci.cli.app import app
from amci.kernel.clock import SystemClock
from amci.kernel.errors import AmciError, ConfigError, NotFound, QueryError, UsageError
from amci.kernel.workspace import WorkspacePaths
from amci.sandbox.service import Sandbox

GOOD = """SELECT campaign, SUM(impressions) AS impressions, COUNT(DISTINCT user_id) AS users
FROM dsp_impressions
GROUP BY 1
"""
BAD = "SELECT campain,\n  SUM(impressions) AS n\nFROM dsp_impressions GROUP BY 1\n"
POSTAL = GOOD.replace("campaign", "postal_code")
AUDIENCE = "SELECT user_id FROM conversions_for_audiences WHERE event_subtype = 'order'\n"
WORLD = ("--window", "2026-06-20..2026-06-30", "--last", "2026-06-30", "--scale", "0.002")
WORKFLOW = """description: Reach
input_parameters:
  - {name: least, data_type: LONG, default_value: 0}
window: {type: EXPLICIT, start: "2026-06-20", end: "2026-06-30"}
sql: |
  SELECT campaign, SUM(impressions) AS impressions
  FROM dsp_impressions
  GROUP BY 1 HAVING SUM(impressions) > CUSTOM_PARAMETER('least')
"""


TENANT = """tenant: acme
instance_id: amcacme
advertiser_id: ENTITYACME
marketplace_id: ATVPDKIKX0DER
values: {least: 1000000}
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the events of this module's world lie; they are made once."""
    return tmp_path_factory.mktemp("cache")


class Desk:
    """A directory with files, and the command line in it."""

    def __init__(self, here: Path) -> None:
        self.here = here

    def put(self, path: str, text: str) -> Path:
        file = self.here / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    def call(self, *words: str, typed: str | None = None) -> Result:
        called = CliRunner().invoke(app, ["sql", *words], input=typed)
        if called.exception and not isinstance(called.exception, SystemExit):
            raise called.exception
        return called

    def text(self, *words: str, code: int = 0, typed: str | None = None) -> str:
        called = self.call(*words, typed=typed)
        assert called.exit_code == code, called.output
        return called.stdout

    def json(self, *words: str, code: int = 0, typed: str | None = None) -> Any:
        return json.loads(self.text(*words, "--json", code=code, typed=typed))

    def workspace(self) -> None:
        self.put("amci.yaml", "notify: []\namc: {mode: sandbox, sandbox: {scale: 0.002, days: 20}}\n")
        self.put("config/tenants/acme.yaml", TENANT)
        self.put("config/workflows/reach.yaml", WORKFLOW)


@pytest.fixture
def desk(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    return Desk(tmp_path)


# ---- check


def test_check_says_what_a_query_gives_reads_and_risks(desk: Desk) -> None:
    desk.put("a.sql", POSTAL)
    said = desk.text("check", "a.sql")
    assert said.startswith("a.sql: fine: 3 columns, a row needs 100 users\n")
    assert "dsp_impressions.postal_code" in said
    assert "rows that AMC may hide:\n- A row needs 100 users, because it shows postal_code" in said
    (found,) = desk.json("check", "a.sql")
    assert (found["file"], found["is_ok"], found["users"]) == ("a.sql", True, 100)


def test_check_ends_with_1_where_amc_would_refuse(desk: Desk) -> None:
    desk.put("good.sql", GOOD)
    desk.put("bad.sql", BAD)
    said = desk.text("check", "good.sql", "bad.sql", code=1)
    assert "bad.sql:1:8: error: Column 'campain' not found in any table [unknown-column]\n" in said
    assert "      |        ^^^^^^^\n  hint: did you mean campaign?\n" in said
    assert "good.sql: fine: 3 columns, a row needs 2 users\n" in said
    assert [each["is_ok"] for each in desk.json("check", ".", code=1)] == [False, True]


def test_check_reads_standard_input(desk: Desk) -> None:
    assert desk.json("check", "-", typed=BAD, code=1)[0]["file"] == "<stdin>"


def test_check_lets_duckdb_look_at_the_types(desk: Desk) -> None:
    desk.put(
        "a.sql", "SELECT ARRAY_SORT(campaign) AS k, SUM(impressions) AS n FROM dsp_impressions GROUP BY 1"
    )
    (found,) = desk.json("check", "a.sql", code=1)
    assert [each["code"] for each in found["findings"]] == ["types"]


def test_parameters_come_from_the_document_beside_the_sql(desk: Desk) -> None:
    desk.put("a.sql", GOOD + "HAVING SUM(impressions) > CUSTOM_PARAMETER('least')")
    assert desk.json("check", "a.sql", code=1)[0]["findings"][0]["code"] == "undeclared-parameter"
    desk.put("a.yaml", "input_parameters: [{name: least, data_type: LONG, default_value: 3}]\n")
    for name in ("a.sql", "a.yaml"):
        (found,) = desk.json("check", name)
        assert found["file"] == "a.sql"
        assert found["parameters"] == [
            {"name": "least", "data_type": "LONG", "default": 3, "is_declared": True, "is_used": True}
        ]


def test_places_in_a_document_are_those_of_its_file(desk: Desk) -> None:
    desk.put("w.yaml", WORKFLOW.replace("SELECT campaign", "SELECT campain"))
    (finding,) = desk.json("check", "w.yaml", code=1)[0]["findings"]
    assert (finding["line"], finding["column"]) == (6, 10)
    assert "w.yaml:6:10: error" in desk.text("check", "w.yaml", code=1)


def test_workflows_are_known_by_name_and_tenants_have_their_values(desk: Desk) -> None:
    desk.workspace()
    (found,) = desk.json("check", "reach", "--tenant", "acme")
    assert (found["workflow_id"], found["parameters"][0]["default"]) == ("reach", 1000000)
    for words in (("raech",), ("reach", "--tenant", "amce")):
        with pytest.raises(NotFound) as refused:
            desk.call("check", *words)
        assert "did you mean" in refused.value.hint


def test_a_workspaces_other_sql_is_no_amc_sql(desk: Desk) -> None:
    desk.workspace()
    desk.put("config/transforms/a.sql", "SELECT * FROM rows")
    desk.put("config/audiences/buyers.sql", AUDIENCE)
    for folder in (".", "config"):
        found = desk.json("check", folder)
        assert [(each["workflow_id"], each["kind"]) for each in found] == [
            ("buyers", "audience"),
            ("reach", "workflow"),
        ]


def test_strict_refuses_what_amc_documents_as_unsupported(desk: Desk) -> None:
    desk.put("a.sql", GOOD + "ORDER BY 2")
    assert "1 warning" in desk.text("check", "a.sql")
    desk.text("check", "a.sql", "--strict", code=1)


# ---- run


def test_run_shows_rows_and_says_how_many_are_hidden(desk: Desk) -> None:
    desk.put("a.sql", POSTAL)
    said = desk.text("run", "a.sql", *WORLD)
    assert said.startswith("postal_code")
    assert "(0 rows)" in said
    assert "rows were removed (100 %); --explain-redaction says why" in said


def test_run_explains_which_rule_took_which_row(desk: Desk) -> None:
    desk.put("a.sql", POSTAL)
    said = desk.text("run", "a.sql", *WORLD, "--explain-redaction")
    assert "had fewer than 100 users of 'dsp_impressions'; the closest had" in said
    assert "- leave out postal_code: then 1 user is enough" in said
    assert "'dsp_impressions' users < 100 required" in said
    found = desk.json("run", "a.sql", *WORLD, "--explain-redaction")["redaction"]
    assert len(found["hidden_rows"]) == found["hidden"] == found["rows"] > 0
    assert "hidden_rows" not in desk.json("run", "a.sql", *WORLD)["redaction"]


def test_without_privacy_nothing_is_hidden(desk: Desk) -> None:
    desk.put("a.sql", POSTAL)
    hidden = desk.json("run", "a.sql", *WORLD)["redaction"]["hidden"]
    found = desk.json("run", "a.sql", *WORLD, "--no-privacy")
    assert (len(found["rows"]), found["redaction"]) == (hidden, None)
    assert "nothing was hidden" in desk.text("run", "a.sql", *WORLD, "--no-privacy")


def test_a_workflow_that_has_values_emptied_keeps_their_sums(desk: Desk) -> None:
    desk.put("a.sql", POSTAL)
    whole = desk.json("run", "a.sql", *WORLD, "--no-privacy")
    for asked in ("filtered_metrics_discriminator_column: gone", "privacy_filtering_behavior: REMOVE_VALUES"):
        desk.put("a.yaml", f"{asked}\n")
        found = desk.json("run", "a.sql", *WORLD)
        names = [column["name"] for column in found["columns"]]
        assert names == ["postal_code", "impressions", "users", *(["gone"] if "gone" in asked else [])]
        assert found["redaction"]["is_emptied"]
        assert found["redaction"]["rows"] == len(whole["rows"])
        sums = [sum(row["impressions"] for row in each["rows"]) for each in (found, whole)]
        assert 0 < sums[0] <= sums[1]  # what nobody known saw is not shown at all


def test_the_window_and_values_of_a_workflow_are_its_own_until_others_are_given(desk: Desk) -> None:
    desk.put("w.yaml", WORKFLOW)
    world = WORLD[2:]
    own = desk.json("run", "w.yaml", *world)
    assert own["window"] == {"start": "2026-06-20T00:00:00.000000Z", "end": "2026-06-30T00:00:00.000000Z"}
    assert own["rows"]
    most = max(row["impressions"] for row in own["rows"])
    assert desk.json("run", "w.yaml", *world, "-p", f"least={most}")["rows"] == []
    shorter = desk.json("run", "w.yaml", *world, "--window", "2026-06-29..2026-06-30")
    assert sum(r["impressions"] for r in shorter["rows"]) < sum(r["impressions"] for r in own["rows"])
    local = desk.json("run", "w.yaml", *world, "--time-zone", "America/New_York")
    assert local["window"]["start"] == "2026-06-20T04:00:00.000000Z"


def test_the_last_day_is_the_most_recent_one(desk: Desk) -> None:
    desk.put("a.sql", GOOD)
    found = desk.json("run", "a.sql", *WORLD[2:], "--window", "MOST_RECENT_DAY")
    assert found["window"] == {"start": "2026-06-30T00:00:00.000000Z", "end": "2026-07-01T00:00:00.000000Z"}
    assert found["rows"]


def test_a_tenant_sees_its_own_people_with_its_own_values(desk: Desk) -> None:
    desk.workspace()
    world = ("--last", "2026-06-30")
    everybody, own = (
        desk.json("run", "reach", *world, "--no-privacy", "-p", "least=0", *whose)["rows"]
        for whose in ((), ("--tenant", "acme"))
    )
    counts = [sum(row["impressions"] for row in rows) for rows in (everybody, own)]
    assert 0 < counts[1] < counts[0]
    assert desk.json("run", "reach", *world, "--tenant", "acme")["rows"] == []
    assert (desk.here / "sandbox" / "events").is_dir()


def test_csv_is_amcs_file_and_json_an_array(desk: Desk) -> None:
    desk.put("a.sql", GOOD.replace("AS users", "AS Users"))
    csv = desk.text("run", "a.sql", *WORLD, "--format", "csv").splitlines()
    rows = json.loads(desk.text("run", "a.sql", *WORLD, "--format", "json"))
    assert csv[0] == "campaign,impressions,users"
    assert len(csv) - 1 == len(rows) > 0
    assert set(rows[0]) == {"campaign", "impressions", "Users"}


def test_a_window_behind_the_last_event_is_said_to_be_empty(desk: Desk) -> None:
    desk.put("a.sql", GOOD)
    called = desk.call("run", "a.sql", *WORLD[2:], "--window", "2026-07-05..2026-07-06")
    assert "events end on 2026-06-30, before the time window begins" in called.stderr
    assert "(0 rows)" in called.stdout


def test_what_duckdb_refuses_is_told_with_its_place(desk: Desk) -> None:
    desk.put("a.sql", GOOD.replace("campaign", "ARRAY_SORT(campaign) AS k"))
    with pytest.raises(QueryError, match=r"a.sql:1:\d+: error: .*\[types\]"):
        desk.call("run", "a.sql", *WORLD)


def test_an_audience_tells_how_many_people_it_has(desk: Desk) -> None:
    desk.put("a.sql", AUDIENCE)
    assert desk.json("run", "a.sql", *WORLD)["rows"][0]["people"] > 0
    said = desk.text("run", "a.sql", *WORLD)
    assert said.startswith("people\n")
    assert said.endswith("AMC makes an audience of 2,000 people and more\n")


# ---- diff


def test_two_versions_that_say_the_same_are_the_same(desk: Desk) -> None:
    desk.put("a.sql", GOOD)
    desk.put(
        "b.sql",
        GOOD.replace("campaign", "i.campaign AS campaign", 1).replace("impressions\n", "impressions i\n"),
    )
    said = desk.text("diff", "a.sql", "b.sql", *WORLD)
    assert "the rows are the same" in said
    assert desk.json("diff", "a.sql", "b.sql", *WORLD)["is_same"]


def test_a_difference_is_told_and_ends_with_1(desk: Desk) -> None:
    desk.put("a.sql", GOOD)
    desk.put(
        "b.sql", GOOD.replace("GROUP", "WHERE device_type <> 'Phone' GROUP").replace("users\n", "reach\n")
    )
    found = desk.json("diff", "a.sql", "b.sql", *WORLD, code=1)
    assert (found["columns_only_in_a"], found["columns_only_in_b"]) == (["users"], ["reach"])
    assert {cell["column"] for cell in found["changed"]} == {"impressions"}
    assert found["totals"][0]["change"] < 0
    said = desk.text("diff", "a.sql", "b.sql", *WORLD, code=1)
    assert "columns only in b: reach" in said
    assert "changed values: " in said


# ---- fmt

UGLY = "select campaign,   SUM(impressions) as n from dsp_impressions group by 1 -- keep\n"
NEAT = "SELECT campaign, SUM(impressions) AS n\nFROM dsp_impressions\nGROUP BY 1 -- keep\n"


def test_fmt_writes_what_changes_and_keeps_mode_links_and_line_ends(desk: Desk) -> None:
    real = desk.put("real.sql", UGLY)
    real.chmod(0o660)
    link = desk.here / "link.sql"
    link.symlink_to(real)
    windows = desk.put("windows.sql", "")
    windows.write_bytes(UGLY.replace("\n", "\r\n").encode())
    assert desk.text("fmt", "link.sql", "windows.sql") == "link.sql\nwindows.sql\n"
    assert link.is_symlink()
    assert real.read_text() == NEAT
    assert real.stat().st_mode & 0o777 == 0o660
    assert windows.read_bytes() == NEAT.replace("\n", "\r\n").encode()
    assert desk.text("fmt", ".") == ""
    assert sorted(path.name for path in desk.here.iterdir()) == ["link.sql", "real.sql", "windows.sql"]


def test_fmt_check_and_diff_write_nothing(desk: Desk) -> None:
    file = desk.put("a.sql", UGLY)
    assert desk.text("fmt", "a.sql", "--check", code=1) == "a.sql\n"
    diff = desk.text("fmt", "a.sql", "--diff")
    assert "+SELECT campaign, SUM(impressions) AS n\n" in diff
    assert file.read_text() == UGLY
    file.write_text(NEAT)
    desk.text("fmt", "a.sql", "--check")


def test_fmt_leaves_what_it_cannot_read_and_goes_on(desk: Desk) -> None:
    open_, binary = desk.put("a.sql", "SELECT 'a FROM t\n"), desk.put("b.sql", "")
    binary.write_bytes(b"SELECT '\xff'")
    good = desk.put("c.sql", UGLY)
    called = desk.call("fmt", "a.sql", "b.sql", "c.sql")
    assert called.exit_code == 1
    assert "a.sql: SQL query was invalid" in called.stderr
    assert "b.sql: cannot be read: it is not UTF-8 text" in called.stderr
    assert (open_.read_text(), binary.read_bytes()) == ("SELECT 'a FROM t\n", b"SELECT '\xff'")
    assert good.read_text() == NEAT


def test_fmt_passes_standard_input_on(desk: Desk) -> None:
    assert desk.text("fmt", "-", typed=UGLY) == NEAT
    assert desk.json("fmt", "-", typed=UGLY)[0]["sql"] == NEAT


# ---- tables and functions


def test_all_tables_are_listed_and_can_be_chosen(desk: Desk) -> None:
    assert {row["table"] for row in desk.json("tables")} == set(sources())
    assert {row["table"] for row in desk.json("tables", "--audiences")} == set(audience_sources())
    paid = desk.json("tables", "--paid")
    assert {row["access"] for row in paid} == {"paid"}
    dsp = desk.json("tables", "--category", "amazon_dsp")
    assert {row["category"] for row in dsp} == {"AMAZON_DSP"}
    assert len(dsp) < len(sources())


def test_one_table_tells_units_values_and_needed_users(desk: Desk) -> None:
    found = desk.json("tables", "display_impressions")
    assert found["table"] == "dsp_impressions"
    columns = {column["column"]: column for column in found["columns"]}
    assert len(columns) == len(sources()["dsp_impressions"].columns)
    assert (columns["postal_code"]["users"], columns["user_id"]["users"]) == (100, None)
    assert columns["audience_fee"]["unit"] == "microcents: divide by 100,000,000 for currency units"
    said = desk.text("tables", "dsp_impressions")
    assert "a time window limits impression_dt_utc" in said
    assert "its twin for audiences is dsp_impressions_for_audiences" in said


@pytest.mark.parametrize(("pattern", "names"), [("postal", {"postal_code"}), ("*_fee", {"audience_fee"})])
def test_columns_are_found_by_a_part_of_their_names(desk: Desk, pattern: str, names: set[str]) -> None:
    found = desk.json("tables", "--columns", pattern)
    assert names <= {row["column"] for row in found}
    assert len({row["table"] for row in found}) > 1
    assert {row["table"] for row in desk.json("tables", "dsp_impressions", "--columns", pattern)} == {
        "dsp_impressions"
    }


def test_all_functions_are_listed(desk: Desk) -> None:
    assert {row["function"] for row in desk.json("functions")} == set(FUNCTIONS)
    assert desk.json("functions", "seconds_between")["arguments"] == "2"


# ---- what a tenant uploaded

HEADERS = {
    "amazon-advertising-api-clientid": "c",
    "amazon-advertising-api-advertiserid": "ENTITYACME",
    "amazon-advertising-api-marketplaceid": "ATVPDKIKX0DER",
}


def upload(desk: Desk, name: str) -> None:
    """Let the sandbox of the workspace have a data set."""
    host, workspace = "https://advertising-api.amazon.com", WorkspacePaths(desk.here)
    sandbox = Sandbox(workspace.sandbox, SystemClock(), sandbox_options(load(workspace, {})))
    form = b"grant_type=refresh_token&refresh_token=r&client_id=c&client_secret=s"
    token = json.loads(sandbox.respond("POST", f"{host}/auth/o2/token", {}, form)[2])["access_token"]
    column = {"name": "product", "dataType": "STRING", "columnType": "DIMENSION"}
    (workspace.sandbox / "uploads" / "mine").mkdir(parents=True)
    (workspace.sandbox / "uploads" / "mine" / "sales.csv").write_text("product\nTent\nTent\nStove\n")
    upload = {
        "updateStrategy": "FULL_REPLACE",
        "compressionFormat": "NONE",
        "dataSource": {"sourceS3Bucket": "mine", "sourceFileS3Key": "sales.csv"},
        "fileFormat": {"csvDataFormat": {"fieldDelimiter": ","}},
    }
    for path, asked in (
        ("dataSets", {"dataSet": {"dataSetId": name, "columns": [column], "countryCode": "US"}}),
        (f"uploads/{name}", upload),
    ):
        url, headers = (
            f"{host}/amc/advertiserData/amcacme/{path}",
            {**HEADERS, "authorization": f"Bearer {token}"},
        )
        status, _, said = sandbox.respond("POST", url, headers, json.dumps(asked).encode())
        assert status == 200, said
    sandbox.advance()
    sandbox.advance()
    sandbox.close()


def test_a_tenants_uploaded_data_sets_are_tables_too(desk: Desk) -> None:
    desk.workspace()
    upload(desk, "my_sales")
    desk.put("a.sql", "SELECT product, COUNT(1) AS n FROM my_sales GROUP BY 1")
    assert desk.json("check", "a.sql", code=1)[0]["findings"][0]["code"] == "unknown-object"
    (found,) = desk.json("check", "a.sql", "--tenant", "acme")
    assert [(table["name"], table["access"]) for table in found["tables"]] == [("my_sales", "uploaded")]
    assert desk.json("tables", "my_sales", "-t", "acme")["columns"][0]["column"] == "product"
    assert "my_sales" in {row["table"] for row in desk.json("tables", "-t", "acme")}
    ran = desk.json("run", "a.sql", "--tenant", "acme", "--window", "MOST_RECENT_WEEK", "--scale", "0.001")
    assert sorted((row["product"], row["n"]) for row in ran["rows"]) == [("Stove", 1), ("Tent", 2)]


# ---- before anything is sent


def test_apply_sends_no_workflow_that_amc_would_refuse(desk: Desk) -> None:
    desk.workspace()
    desk.put("config/workflows/bad.sql", BAD)
    called = CliRunner().invoke(app, ["apply"])
    assert isinstance(called.exception, QueryError)
    assert "workflow bad:1:8: error: Column 'campain' not found" in str(called.exception)
    assert "--no-check" in called.exception.hint
    sent = CliRunner().invoke(app, ["apply", "--no-check", "--json"])
    stands = {row["about"]: row["status"] for row in json.loads(sent.stdout)}
    assert (stands["create bad"], stands["create reach"]) == ("FAILED", "SUCCEEDED")


# ---- bad input


@pytest.mark.parametrize(
    ("words", "error", "says"),
    [
        (["check", "none.sql"], NotFound, "there is no file none.sql"),
        (["check", "empty"], NotFound, "there is no AMC SQL in empty"),
        (["check", "broken.yaml"], ConfigError, "broken.yaml"),
        (["check", "binary.sql"], ConfigError, "cannot be read: it is not UTF-8"),
        (["run", "empty"], UsageError, "is a directory"),
        (["run", "bad.sql", *WORLD], QueryError, "bad.sql:1:8: error: Column 'campain'"),
        (["run", "good.sql", "--window", "YESTERDAY"], UsageError, "'YESTERDAY' is not a time window"),
        (["run", "good.sql", "--window", "2026-06-02..2026-06-01"], UsageError, "the time window starts"),
        (["run", "good.sql", "--time-zone", "Mars"], UsageError, "there is no time zone"),
        (["run", "good.sql", "--last", "soon"], UsageError, "'soon' is not a day"),
        (["run", "good.sql", "--scale", "-1"], UsageError, "makes no people"),
        (["run", "good.sql", "--format", "xml"], UsageError, "there is no format 'xml'"),
        (["run", "good.sql", "-p", "a"], UsageError, "gives no parameter a value"),
        (["run", "good.sql", "-p", "a=1"], UsageError, "no parameter 'a'"),
        (["fmt", "none.sql"], NotFound, "there is no file"),
        (["fmt", "broken.yaml"], UsageError, "is not an SQL file"),
        (["tables", "dsp_impresions"], NotFound, "no table"),
        (["tables", "--category", "TV"], NotFound, "no category 'TV'"),
        (["functions", "SECOND_BETWEEN"], NotFound, "no function"),
        (["--json", "functions"], UsageError, "options go behind the command"),
    ],
)
def test_bad_input_is_said_in_a_sentence_with_what_to_do(
    desk: Desk, words: list[str], error: type[AmciError], says: str
) -> None:
    desk.put("good.sql", GOOD)
    desk.put("bad.sql", BAD)
    desk.put("broken.yaml", "sql: [")
    desk.put("binary.sql", "").write_bytes(b"\xff\xfe\x00")
    (desk.here / "empty").mkdir()
    with pytest.raises(error) as refused:
        desk.call(*words)
    assert says in str(refused.value)
    assert refused.value.hint or error is ConfigError or words[0] == "--json"


def test_alone_it_is_still_the_shell_of_the_lake(desk: Desk) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("AMCI_")}
    done = subprocess.run(
        [sys.executable, "-m", "amci", "sql"], capture_output=True, text=True, env=environ, check=False
    )
    assert done.returncode == 10
    assert "no workspace" in done.stderr
