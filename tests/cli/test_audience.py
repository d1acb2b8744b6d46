"""Do the commands of `amci audience` work against a sandbox that is served?"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from amci.cli.audience import audience_app
from amci.kernel.clock import SystemClock
from amci.kernel.errors import AmciError, ConfigError, NotFound, Refused, UsageError
from amci.sandbox.data.world import World
from amci.sandbox.options import SandboxInstance, SandboxOptions
from amci.sandbox.rest import Server
from amci.sandbox.service import Sandbox

DSP = "1234567890"
WINDOW = ("--window", "2026-10-15..2026-10-25")
MORE = ("--advertiser", DSP, *WINDOW)
SEEN = "SELECT user_id -- those who saw\nFROM dsp_impressions_for_audiences;\n"
OF = f"{SEEN.strip()[:-1]} WHERE device_type = "
#: The small world's people; an audience needs twenty of them, a seed five.
SMALL: dict[str, Any] = {"scale": 0.001, "days": 20, "anchor": date(2026, 11, 1), "audience_minimum": 20}


class Terminal:
    """The commands of one workspace."""

    def __init__(self, home: Path, url: str) -> None:
        self.home = home
        self.write(
            "amci.yaml",
            f"notify: []\namc:\n  mode: sandbox\n  poll_first: 20ms\n  sandbox: {{url: '{url}'}}\n",
        )
        self.write(
            "config/tenants/acme.yaml",
            "tenant: acme\ninstance_id: amcacme1\nadvertiser_id: ENTITYACME\nmarketplace_id: ATVPDKIKX0DER\n",
        )
        self.seen = str(self.write("seen.sql", SEEN))
        self.none = str(self.write("none.sql", f"{OF}'Sundial'"))

    def write(self, name: str, text: str) -> Path:
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def text(self, *words: str, code: int = 0) -> str:
        """What a command says; raises what it raises."""
        result = CliRunner().invoke(audience_app, [*words, "--home", str(self.home)])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result.output

    def json(self, *words: str, code: int = 0) -> Any:
        result = CliRunner().invoke(audience_app, [*words, "--home", str(self.home), "--json"])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return json.loads(result.stdout)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the events lie, which take a while to make."""
    folder = tmp_path_factory.mktemp("world")
    World(directory=folder, seed=1, scale=SMALL["scale"], days=SMALL["days"]).prepare(SMALL["anchor"])
    return folder / "events"


@contextmanager
def served(folder: Path, made: Path, **options: Any) -> Iterator[Terminal]:
    """A workspace whose AMC is a sandbox behind HTTP."""
    acme = SandboxInstance(
        instance_id="amcacme1", entity_id="ENTITYACME", marketplace_id="ATVPDKIKX0DER", name="acme"
    )
    shutil.copytree(made, folder / "sandbox" / "events")
    sandbox = Sandbox(folder / "sandbox", SystemClock(), SandboxOptions(instances=(acme,), **SMALL | options))
    with closing(sandbox), Server(sandbox) as server:
        yield Terminal(folder / "home", server.url)


@pytest.fixture
def terminal(tmp_path: Path, made: Path) -> Iterator[Terminal]:
    with served(tmp_path, made) as opened:
        yield opened


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory, made: Path) -> Iterator[Terminal]:
    """One where nobody makes an audience."""
    with served(tmp_path_factory.mktemp("idle"), made) as opened:
        yield opened


def test_an_audience_is_made_and_waited_for(tmp_path: Path, made: Path) -> None:
    soon = timedelta(milliseconds=300)
    with served(tmp_path, made, pending=soon, running=soon) as terminal:
        said = terminal.text("create", "Seen", terminal.seen, *MORE)
        assert "audience 'Seen' waits in AMC's queue" in said
        assert "AMC may take hours" in said
        said = terminal.text("show", "Seen", "--wait")
    assert re.search(r"audience 'Seen' is ready: \d\d people", said)
    assert "events: 2026-10-15T00:00:00..2026-10-25T00:00:00\n" in said
    assert "refreshed: every 21 days, last at" in said
    assert "look for 'AMC Seen'" in said


def test_what_is_shown_as_json_has_everything(terminal: Terminal) -> None:
    made = terminal.json(
        *("create", "Seen", terminal.seen, *MORE, "--wait", "--refresh-days", "7", "--relative"),
        *("--description", "for the summer", "--zone", "Europe/Berlin", "--country", "DE"),
    )
    for name in (
        "audience_id",
        "people",
        "created_at",
        "refreshed_at",
        "dsp_audience_id",
        "dsp_canonical_id",
    ):
        assert made.pop(name)
    assert made == {
        "name": "Seen",
        "status": "SUCCEEDED",
        "kind": "rule-based",
        "reach": "",
        "refresh": "every 7 days",
        "window": "2026-10-14T22:00:00..2026-10-24T22:00:00",
        "is_window_moving": True,
        "reason": "",
        "advertiser_id": DSP,
        "advertiser_type": "DISPLAY",
        "description": "for the summer",
        "parameters": {},
        "workflow": "",
        "query": "SELECT user_id \nFROM dsp_impressions_for_audiences",
    }


def test_parameters_of_the_query_get_values(terminal: Terminal) -> None:
    every = terminal.json("create", "Seen", terminal.seen, *MORE, "--wait")
    file = terminal.write("of.sql", f"{OF}CUSTOM_PARAMETER('device')")
    made = terminal.json("create", "Phones", str(file), *MORE, "--value", "device=Phone", "--wait")
    assert made["parameters"] == {"device": "Phone"}
    assert 20 <= made["people"] < every["people"]
    with pytest.raises(UsageError, match="parameter device has no value"):
        terminal.text("create", "Phones", str(file), *MORE)
    with pytest.raises(UsageError, match="no parameter 'x'"):
        terminal.text("create", "Phones", str(file), *MORE, "--value", "device=a", "--value", "x=1")


def test_people_alike_are_found(terminal: Terminal) -> None:
    seed = terminal.write("keen.sql", f"{OF}'TV'")
    made = terminal.json("lookalike", "Like them", str(seed), *MORE, "--reach", "most-broad", "--wait")
    assert (made["kind"], made["reach"], made["status"]) == ("lookalike", "MOST_BROAD", "SUCCEEDED")
    assert made["people"] > 0
    assert "alike to the seed (MOST_BROAD)" in terminal.text("show", "Like them")
    with pytest.raises(UsageError, match="'huge' is not a reach"):
        terminal.text("lookalike", "Like them", str(seed), *MORE, "--reach", "huge")


def test_the_same_is_not_made_twice_by_mistake(terminal: Terminal) -> None:
    words = ("create", "Seen", terminal.seen, *MORE, "--wait")
    first = terminal.json(*words)
    assert terminal.json(*words)["audience_id"] == first["audience_id"]
    assert "AMC has this audience already; --again makes a second one" in terminal.text(*words)
    said = terminal.text(*words, "--again")
    assert "told apart by their ids only" in said
    rows = terminal.json("list")
    assert [row["name"] for row in rows] == ["Seen", "Seen"]
    assert rows[1]["audience_id"] == first["audience_id"]
    with pytest.raises(UsageError, match="2 audiences are called 'Seen'"):
        terminal.text("show", "Seen")


def test_what_failed_says_why_and_is_mended(terminal: Terminal) -> None:
    said = terminal.text("create", "Seen", terminal.none, *MORE, "--wait", code=3)
    assert "audience 'Seen' was not made" in said
    assert "AMC says: The audience has 0 user_ids, and at least 20 are needed." in said
    assert "fix it:    amci audience update" in said
    moved = terminal.json("update", "Seen", "--window", "2026-10-16..2026-10-26", "--wait", code=3)
    assert moved["window"] == "2026-10-16T00:00:00..2026-10-26T00:00:00"
    mended = terminal.json("update", "Seen", terminal.seen, "--wait")
    assert (mended["status"], mended["window"]) == ("SUCCEEDED", moved["window"])
    for words in (("update", "Seen", terminal.seen), ("delete", "Seen", "--yes")):
        with pytest.raises(UsageError, match="'Seen' is SUCCEEDED, and AMC"):
            terminal.text(*words)


def test_what_failed_is_deleted(terminal: Terminal) -> None:
    terminal.text("create", "Seen", terminal.none, *MORE, "--wait", code=3)
    assert terminal.json("delete", "Seen", "--yes")["deleted"]
    assert terminal.text("list") == "no audiences\n"


@pytest.mark.parametrize(
    ("words", "error", "says", "hint"),
    [
        (
            ("Seen", "SEEN", "--window", "MOST_RECENT_DAY"),
            UsageError,
            "a start and an end",
            "--window START..END",
        ),
        (("Seen", "SEEN", "--window", "soon"), UsageError, "'soon' is not a time window", "START..END"),
        (("Seen", *WINDOW), UsageError, "whom should the audience have", "--workflow ID"),
        (
            ("Seen", "nowhere.sql", *WINDOW),
            ConfigError,
            "nowhere.sql: cannot be read: No such file or directory",
            "check the path",
        ),
        (
            ("Seen", "SEEN", *WINDOW),
            UsageError,
            "for which advertiser",
            f"{DSP} (Northwind Outdoor, Amazon DSP)",
        ),
        (("Seen", "SEEN", *WINDOW, "--advertiser", "7"), NotFound, "no advertiser '7'", DSP),
        (("Seen", "SEEN", *MORE, "--refresh-days", "22"), UsageError, "every 22 days", "0 to 21 days"),
        (("Seen", "SEEN", *MORE, "--value", "x"), UsageError, "gives no parameter a value", "name=value"),
        (
            ("Seen", "TABLES", *MORE),
            UsageError,
            "Use audience-specific tables",
            "dsp_impressions_for_audiences",
        ),
        (("Seen", "TWO", *MORE), UsageError, "should be one statement, and is 2", "one SELECT of user_id"),
        (("Seen", "SEEN", *MORE, "--tenant", "acm"), NotFound, "no tenant 'acm'", "did you mean 'acme'"),
    ],
)
def test_what_makes_no_sense_is_one_sentence_and_a_hint(
    idle: Terminal, words: tuple[str, ...], error: type[AmciError], says: str, hint: str
) -> None:
    files = {
        "SEEN": idle.seen,
        "TABLES": str(idle.write("tables.sql", "SELECT user_id FROM dsp_impressions")),
        "TWO": str(idle.write("two.sql", f"{SEEN} {SEEN}")),
    }
    with pytest.raises(error) as caught:
        idle.text("create", *(files.get(word, word) for word in words))
    assert says in str(caught.value)
    assert hint in caught.value.hint
    assert idle.json("list") == []


def test_a_workflow_may_stand_for_the_file(idle: Terminal) -> None:
    with pytest.raises(Refused, match="Workflow with ID seen does not exist"):
        idle.text("create", "Seen", "--workflow", "seen", *MORE)


def test_what_is_not_there_is_not_found(idle: Terminal) -> None:
    with pytest.raises(NotFound, match="no audience 'Seen'"):
        idle.text("show", "Seen")
