"""The commands on a real workspace; what they show does not hang on what time it is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from amci.cli.schedule import schedule_app
from amci.kernel.errors import NotFound, UsageError

NEW_YEAR = "2199-01-01T00:00:00.000000Z"


class Prompt:
    """`amci schedule …` in one workspace."""

    def __init__(self, site: Any) -> None:
        self.home = str(site.workspace.home)

    def text(self, *words: str) -> str:
        return self._run(*words).stdout

    def json(self, *words: str) -> Any:
        return json.loads(self._run(*words, "--json").stdout)

    def _run(self, *words: str) -> Result:
        return CliRunner().invoke(schedule_app, [*words, "--home", self.home], catch_exceptions=False)


@pytest.fixture
def prompt(site: Any) -> Prompt:
    site.configure("schedules/far.yaml", "schedule: far\nexpression: at(2199-01-01T00:00:00)\nrun: compact\n")
    site.configure(
        "schedules/night.yaml",
        "schedule: night\nexpression: cron(0 0 2 1 ? 2199)\ntime_zone: Asia/Kathmandu\n"
        "run: vacuum\ndescription: tidy up\njitter: 5m\n",
    )
    return Prompt(site)


def test_list_shows_each_schedule_with_its_next_fire(prompt: Prompt) -> None:
    rows = {row["schedule"]: row for row in prompt.json("list")}
    assert rows.keys() == {"far", "night"}
    assert rows["far"]["next_fire"] == NEW_YEAR
    assert rows["night"]["next_fire"] == "2199-01-01T18:15:00.000000Z"
    assert (rows["far"]["state"], rows["far"]["last_fire"]) == ("active", None)
    assert "2199-01-01T00:00:00Z" in prompt.text("list")


def test_show_tells_everything_about_one(prompt: Prompt) -> None:
    shown = prompt.json("show", "night")
    assert (shown["description"], shown["jitter"], shown["catch_up"]) == ("tidy up", 300.0, "last")
    assert shown["coming"] == ["2199-01-01T18:15:00.000000Z"]
    assert shown["run"]["payload"] == {"do": "vacuum", "with": {}}


def test_next_merges_all_schedules_or_takes_one(prompt: Prompt) -> None:
    assert [row["schedule"] for row in prompt.json("next", "5")] == ["far", "night"]
    assert [row["schedule"] for row in prompt.json("next", "1")] == ["far"]
    (night,) = prompt.json("next", "--schedule", "night")
    assert night["local"] == "Wed 2199-01-02 00:00:00 +0545"


def test_next_tries_an_expression_without_a_workspace() -> None:
    words = ["next", "3", "--expression", "cron(0 9 ? 1 2#1 2199)", "--zone", "Europe/Berlin", "--json"]
    found = CliRunner().invoke(schedule_app, words, catch_exceptions=False)
    assert json.loads(found.stdout) == [
        {"fire_time": "2199-01-07T08:00:00.000000Z", "local": "Mon 2199-01-07 09:00:00 +0100", "says": ""}
    ]
    with pytest.raises(UsageError, match="six"):
        CliRunner().invoke(schedule_app, ["next", "--expression", "cron(0 9 * * *)"], catch_exceptions=False)


def test_a_paused_schedule_shows_no_next_fire_until_it_is_resumed(prompt: Prompt) -> None:
    assert prompt.json("pause", "far") == {"paused": ["far"]}
    states = {row["schedule"]: (row["state"], row["next_fire"]) for row in prompt.json("list")}
    assert states["far"] == ("paused", None)
    assert [row["schedule"] for row in prompt.json("next")] == ["night"]
    assert prompt.json("resume", "far") == {"resumed": ["far"]}
    assert [row["schedule"] for row in prompt.json("next")] == ["far", "night"]


def test_fire_makes_a_run_that_the_history_shows(prompt: Prompt) -> None:
    (made,) = prompt.json("fire", "far", "--at", "2020-11-01T06:00:00Z")
    assert (made["schedule"], made["status"]) == ("far", "PENDING")
    (again,) = prompt.json("fire", "far", "--at", "2020-11-01T07:00:00+01:00")
    assert again == made
    (past,) = prompt.json("history", "far")
    assert past["run_id"] == made["run_id"]
    assert (past["decision"], past["status"]) == ("by_hand", "PENDING")
    assert past["idempotency_key"] == "fire:far@2020-11-01T06:00:00.000000Z"
    assert "amci up" in prompt.text("fire", "far")


def test_fire_with_wait_does_the_run(prompt: Prompt) -> None:
    (made,) = prompt.json("fire", "far", "--wait")
    assert made["status"] == "SUCCEEDED"


def test_a_moment_that_cannot_be_read_is_refused(prompt: Prompt) -> None:
    with pytest.raises(UsageError, match="'soon' is not a moment"):
        prompt.text("fire", "far", "--at", "soon")


@pytest.mark.parametrize("verb", ["show", "pause", "resume", "fire", "history"])
def test_an_unknown_schedule_is_told_its_neighbour(prompt: Prompt, verb: str) -> None:
    with pytest.raises(NotFound, match="no schedule 'nigt'") as caught:
        prompt.text(verb, "nigt")
    assert caught.value.hint == "did you mean 'night'?"


def test_a_template_stands_for_all_it_was_spread_out_to(site: Any) -> None:
    for name in ("acme", "globex"):
        site.configure(
            f"tenants/{name}.yaml",
            f"tenant: {name}\ninstance_id: amc{name}\nadvertiser_id: ENTITY{name}\nmarketplace_id: ATVPDKIKX0DER\n",
        )
    site.configure(
        "schedules/look.yaml",
        "schedule: look\nexpression: cron(0 0 1 1 ? 2199)\nrun: reconcile\nall_tenants: true\n",
    )
    prompt = Prompt(site)
    assert prompt.json("pause", "look") == {"paused": ["look/acme", "look/globex"]}
    assert prompt.json("resume", "look/acme") == {"resumed": ["look/acme"]}
    states = {row["schedule"]: (row["tenant"], row["state"]) for row in prompt.json("show", "look")}
    assert states == {"look/acme": ("acme", "active"), "look/globex": ("globex", "paused")}


def test_without_schedules_list_says_where_they_go(site: Any) -> None:
    assert Prompt(site).text("list") == "no schedules; they are files in config/schedules/\n"
