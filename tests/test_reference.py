"""Does every citation such as "(amc-api 2.2)" lead to a heading of docs/reference, and is every heading cited?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "docs" / "reference"
PAGES = {"amc-api", "aws-solution"}
#: Headings that only group the sections below them.
PARENTS = {"amc-api 1", "amc-api 2", "aws-solution 1", "aws-solution 2", "aws-solution 3"}
_TEXT = {".json", ".md", ".py", ".sql", ".toml", ".yaml"}

_NUMBER = r"\d+(?:\.\d+)?"
_CITATION = re.compile(rf"\b(amc-api|aws-solution) ({_NUMBER}(?:(?:, |–){_NUMBER})*)")
#: Misspelt citations: a page without a section, a page that does not exist, a section without a page.
_ODD = re.compile(
    r"\b(?:amc-api|aws-solution)\b(?! \d|\.md)[^\n]{0,20}"
    r"|\b(?:reference|design|console|reports-api|aws-wire),? (?:\d+\.\d+|[VL]\d\d)"
    r"|\b(?:AMC|solution) \(\d\.\d\)"
)
_HEADING = re.compile(rf"^#{{2,4}} ({_NUMBER}) \S", re.MULTILINE)
_FAULT = re.compile(r"\bK-\d\d\b")


def cited(text: str) -> Iterator[str]:
    """The sections that a text cites, such as `amc-api 2.2`; ranges are counted out."""
    for page, numbers in _CITATION.findall(text):
        for part in numbers.split(", "):
            first, _, last = part.partition("–")
            chapter, _, section = first.partition(".")
            if last:
                sections = range(int(section), int(last.partition(".")[2]) + 1)
                yield from (f"{page} {chapter}.{each}" for each in sections)
            else:
                yield f"{page} {first}"


def wrong(texts: Mapping[str, str], sections: set[str], faults: set[str]) -> list[str]:
    """Every citation that leads nowhere, with its file and line."""
    return [
        f"{name}:{number}: {citation}"
        for name, text in texts.items()
        for number, line in enumerate(text.splitlines(), start=1)
        for citation in [
            *(each for each in cited(line) if each not in sections),
            *(each for each in _FAULT.findall(line) if each not in faults),
            *_ODD.findall(line),
        ]
    ]


def headings(page: str) -> set[str]:
    return {f"{page} {number}" for number in _HEADING.findall((REFERENCE / f"{page}.md").read_text())}


SECTIONS = set().union(*map(headings, PAGES))
FAULTS = set(re.findall(r"^\| (K-\d\d) \|", (ROOT / "docs" / "differences.md").read_text(), re.MULTILINE))
TEXTS = {
    str(path.relative_to(ROOT)): path.read_text()
    for folder in ("amci", "tests", "bench", "config", "docs")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in _TEXT and path != Path(__file__)
}


def test_every_citation_leads_to_a_heading() -> None:
    assert wrong(TEXTS, SECTIONS, FAULTS) == []


def test_every_heading_is_cited() -> None:
    outside = {
        section
        for name, text in TEXTS.items()
        if not name.startswith("docs/reference/")
        for section in cited(text)
    }
    assert sorted(SECTIONS - PARENTS - outside) == []
    assert PARENTS <= SECTIONS, "a parent that is gone"


def test_there_is_a_page_for_each_name_and_no_other() -> None:
    assert {path.stem for path in REFERENCE.glob("*.md")} == PAGES | {"README"}


def test_every_section_names_its_source() -> None:
    for page in PAGES:
        text = (REFERENCE / f"{page}.md").read_text()
        for part in re.split(r"^#{2,4} ", text, flags=re.MULTILINE)[1:]:
            heading, _, body = part.partition("\n")
            if f"{page} {heading.split()[0]}" not in PARENTS:
                assert body.lstrip().startswith("Source: "), f"{page} {heading}"


@pytest.mark.parametrize(
    ("text", "sections"),
    [
        ("(amc-api 2.2)", ["amc-api 2.2"]),
        ("(amc-api 1.5, 2.0–2.2)", ["amc-api 1.5", "amc-api 2.0", "amc-api 2.1", "amc-api 2.2"]),
        ("(amc-api 3) and (aws-solution 2.4, 10)", ["amc-api 3", "aws-solution 2.4", "aws-solution 10"]),
        ("a bucket's notifications (aws-solution 1.5 replaced them)", ["aws-solution 1.5"]),
    ],
)
def test_a_citation_is_read(text: str, sections: list[str]) -> None:
    assert list(cited(text)) == sections


@pytest.mark.parametrize(
    "text",
    [
        "(amc-api 9.9)",
        "(amc-api 2.2, 9.9)",
        "(amc-api 2.4–2.6)",
        "(aws-solution, V13)",
        "(amc-api)",
        "(reference 3.5)",
        "(reference 3.5, rows L02–L12)",
        "(reports-api 2.1)",
        "in the words of the AWS solution (2.3)",
        "without its fault K-77",
    ],
)
def test_a_citation_that_leads_nowhere_is_found(text: str) -> None:
    (found,) = wrong({"amci/x.py": f"\n{text}"}, SECTIONS, FAULTS)
    assert found.startswith("amci/x.py:2: ")


def test_what_only_looks_like_a_citation_is_left_alone() -> None:
    for text in ("[amc-api 2.4](reference/amc-api.md#24-audiences)", "--scale 0", "the design 10 years on"):
        assert wrong({"x": text}, SECTIONS, FAULTS) == []
