from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

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
    shown = re.findall(rf"(?:`|^\$ |^)amci ((?:(?:{'|'.join(groups)}) )?[a-z-]+)", text, re.MULTILINE)
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
    linked = set(re.findall(r"\]\(docs/([^)]+)\)", (ROOT / "README.md").read_text()))
    assert {p.name for p in (ROOT / "docs").glob("*.md")} | {"decisions"} == linked


def test_decisions_are_numbered_and_say_context_choice_and_cost() -> None:
    pages = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    for page in pages:
        for part in ("**Context.**", "**Choice.**", "Kept by", "**Cost.**", "**Replaces.**"):
            assert part in page.read_text(), page.name


def test_the_differences_cover_the_whole_inventory() -> None:
    numbers = re.findall(r"^\| K-(\d\d) \|", (ROOT / "docs" / "differences.md").read_text(), re.MULTILINE)
    assert sorted(map(int, numbers)) == list(range(1, 50))
