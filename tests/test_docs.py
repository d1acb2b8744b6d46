from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal

import pytest
import yaml

from amci.kernel.clock import SystemClock
from amci.kernel.notify.webhook import signature
from amci.scheduler.config import ScheduleFile
from amci.scheduler.expression import parse
from amci.scheduler.model import CatchUp
from amci.workflows.definitions.data_types import ParameterType

ROOT = Path(__file__).parent.parent
DOCS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def loaded(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATE = loaded("generate")
COMMANDS = list(GENERATE.commands())


def test_the_generated_blocks_are_in_step_with_the_code() -> None:
    stale = [path.name for path in DOCS if GENERATE.renewed(text := path.read_text()) != text]
    assert stale == [], "run `make docs`"


def test_every_block_that_can_be_generated_is_in_a_document() -> None:
    everything = "".join(path.read_text() for path in DOCS)
    assert set(re.findall(r"<!-- generated: ([\w ]+) -->", everything)) == set(GENERATE.BLOCKS)


def test_a_stale_block_is_found_and_then_mended(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    (tmp_path / "amci").symlink_to(ROOT / "amci")
    shutil.copy(ROOT / "docs" / "generate.py", folder)
    design = folder / "design.md"
    design.write_text("<!-- generated: run moves -->\nold\n<!-- end -->\n")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, folder / "generate.py", *arguments], capture_output=True, text=True, check=False
        )

    check = run("--check")
    assert (check.returncode, check.stderr) == (1, "stale: design.md; run `make docs`\n")
    assert "old" in design.read_text()
    assert run().returncode == 0
    assert "| PENDING | RUNNING | claimed |" in design.read_text()
    assert run("--check").returncode == 0


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example_of_itself(words: tuple[str, ...]) -> None:
    text = GENERATE.help_of(words)
    assert text.startswith(f"Usage: amci {' '.join(words)}")
    assert re.search(rf"Example: amci {' '.join(words)}\b", text)
    assert "--json" in text
    assert "--home" in text
    options = re.findall(r"^  (?:-\w, )?--[\w-]+(?: <[^>]+>)?(.*)", text, re.MULTILINE)
    assert all(said.strip() for said in options), "an option without a word on what it does"


@pytest.mark.parametrize("path", DOCS, ids=lambda p: p.name)
def test_every_command_in_a_document_exists(path: Path) -> None:
    text = path.read_text()
    groups = {words[0] for words in COMMANDS if len(words) > 1}
    shown = re.findall(rf"(?:`|^\$ |^)amci ((?:(?:{'|'.join(groups)}) )?[a-z][a-z-]*)", text, re.MULTILINE)
    assert {tuple(words.split()) for words in shown} <= {*COMMANDS, *((group,) for group in groups)}


@pytest.mark.parametrize("path", DOCS, ids=lambda p: p.name)
def test_every_link_leads_somewhere(path: Path) -> None:
    text = path.read_text()
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("https://"):
            continue
        file, _, anchor = target.partition("#")
        found = (path.parent / file) if file else path
        assert found.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", found.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings}


def test_every_document_is_reached_from_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    linked = set(re.findall(r"\]\(docs/([^)]+)\)", readme))
    folders = {"decisions", "use-cases/README.md", "reference/README.md"}
    assert {p.name for p in (ROOT / "docs").glob("*.md")} | folders == linked
    assert len(readme.splitlines()) <= 120


def test_what_contributors_are_to_copy_is_there() -> None:
    table = (ROOT / "CONTRIBUTING.md").read_text().split("## Where things go")[1]
    rows = [
        re.findall(r"`((?:amci|config|docs|tests)/[^`]*)`", line)
        for line in table.splitlines()
        if "`" in line
    ]
    assert len(rows) == 12
    for places in rows:
        assert sum(place.startswith("tests/") for place in places) == 1, places
        assert [place for place in places if not (ROOT / place).exists()] == []


def test_the_makefile_has_every_target_that_is_named() -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = {
        target
        for path in DOCS
        for target in re.findall(r"(?:`|^)make ([a-z-]+)", path.read_text(), re.MULTILINE)
    }
    assert "test-quick" in named
    assert [target for target in named - {"it"} if f"\n{target}:" not in makefile] == []


def test_decisions_are_numbered_and_say_context_choice_and_cost() -> None:
    pages = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    for page in pages:
        for part in ("**Context.**", "**Choice.**", "Kept by", "**Cost.**", "**Replaces.**"):
            assert part in page.read_text(), page.name


def test_the_differences_cover_the_whole_inventory() -> None:
    numbers = re.findall(r"^\| K-(\d\d) \|", (ROOT / "docs" / "differences.md").read_text(), re.MULTILINE)
    assert sorted(map(int, numbers)) == list(range(1, 50))


@pytest.mark.parametrize(
    ("annotation", "said"),
    [
        (str | None, "text"),
        (tuple[str, ...], "list of text"),
        (dict[str, Any], "mapping of text to value"),
        (Annotated[int, "bound"] | str, "number or text"),
        (Literal["NA", "EU"], "`NA`, `EU`"),
        (CatchUp, "`none`, `last`, `all`"),
        (ParameterType, "[ParameterType](#parametertype)"),
    ],
)
def test_types_are_said_as_somebody_who_writes_yaml_would(annotation: Any, said: str) -> None:
    assert GENERATE._named(annotation) == said


@pytest.mark.parametrize(
    ("duration", "said"),
    [
        (timedelta(0), "0s"),
        (timedelta(milliseconds=500), "500ms"),
        (timedelta(seconds=90), "90s"),
        (timedelta(minutes=90), "90m"),
        (timedelta(hours=8), "8h"),
        (timedelta(hours=72), "3d"),
    ],
)
def test_durations_are_said_in_their_largest_whole_unit(duration: timedelta, said: str) -> None:
    assert GENERATE._duration(duration) == said


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / "docs" / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


SCHEDULES = [
    text
    for page in ("config.md", "operations.md")
    for text in blocks(page, "yaml")
    if "\nexpression:" in text
]


def test_there_are_schedules_to_copy() -> None:
    assert len(SCHEDULES) == 6


@pytest.mark.parametrize("text", SCHEDULES)
def test_a_schedule_to_copy_is_valid(text: str) -> None:
    assert ScheduleFile.model_validate(yaml.safe_load(text)).expression


def test_every_expression_that_is_explained_can_be_read() -> None:
    text = (ROOT / "docs" / "config.md").read_text()
    table = text.split("| expression | fires |\n")[1].split("\n\n")[0]
    found = [name for line in table.splitlines()[1:] for name in re.findall(r"`([^`]+)`", line.split("|")[1])]
    assert len(found) == 10
    for expression in found:
        parse(expression)


def test_the_snippet_that_checks_a_webhooks_signature_tells_ours_from_others() -> None:
    (snippet,) = blocks("operations.md", "python")
    made: dict[str, Any] = {}
    exec(snippet, made)  # noqa: S102 - our own text
    header = signature("right", b'{"event":"failed"}', SystemClock().now())
    assert made["is_from_amci"](b'{"event":"failed"}', header, "right")
    assert not made["is_from_amci"](b'{"event":"failed"}', header, "wrong")
    assert not made["is_from_amci"](b'{"event":"cancelled"}', header, "right")
    stale = signature("right", b"{}", SystemClock().now() - timedelta(minutes=6))
    assert not made["is_from_amci"](b"{}", stale, "right")
