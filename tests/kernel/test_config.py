from __future__ import annotations

import os
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import get_args

import pytest
from pydantic import BaseModel, Field

from amci.kernel import config
from amci.kernel.clock import SystemClock, clock_offset, duration
from amci.kernel.config import (
    AmcSettings,
    SandboxSettings,
    Settings,
    Strict,
    parsed,
    read_document,
    read_settings,
    read_text,
)
from amci.kernel.errors import ConfigError, UsageError
from amci.lake.datasets.dataset import Dataset
from amci.tenants.model import Tenant

ROOT = Path(__file__).parents[2]


def read(tmp_path: Path, text: str | bytes) -> dict[str, object]:
    path = tmp_path / "x.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_document(path, "x.yaml")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("500ms", 0.5), ("2s", 2), ("5m", 300), ("1h", 3600), ("30d", 2_592_000), ("1.5 h", 5400), ("7", 7)],
)
def test_durations_are_written_as_people_write_them(text: str, expected: float) -> None:
    assert duration(text) == timedelta(seconds=expected)


@pytest.mark.parametrize("text", ["soon", "5 parsecs", "", "-", "1h30m"])
def test_what_is_no_duration_is_said_to_be_none(text: str) -> None:
    with pytest.raises(UsageError, match="not a duration"):
        duration(text)


@pytest.mark.parametrize(("text", "expected"), [("", 0), ("12h", 12), ("-30d", -720)])
def test_the_clock_can_be_shifted(text: str, expected: int) -> None:
    assert clock_offset({"AMCI_CLOCK_OFFSET": text}) == clock_offset({}) + timedelta(hours=expected)


def test_every_part_of_amci_follows_the_shifted_clock(tmp_path: Path) -> None:
    script = "from amci.kernel.testing import TurnableClock as C; print(C().now().isoformat())"
    for text in ("-1000d", "2000d"):
        env = {**os.environ, "AMCI_CLOCK_OFFSET": text}
        done = subprocess.run(
            [sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True
        )
        shifted = datetime.fromisoformat(done.stdout.strip()) - SystemClock().now() - clock_offset(env)
        assert abs(shifted) < timedelta(minutes=5)
    done = subprocess.run(
        [sys.executable, "-m", "amci", "schedule", "next", "--expression", "rate(1 day)"],
        env={**os.environ, "AMCI_CLOCK_OFFSET": "soon"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr.partition("\n")[0]) == (2, "amci: 'soon' is not a duration")


def test_yaml_means_what_people_write(tmp_path: Path) -> None:
    assert read(tmp_path, "on: yes\nat: 22:11\nday: 2026-11-01\nid: 0123\nn: 12\nb: true\n") == {
        "on": "yes",
        "at": "22:11",
        "day": "2026-11-01",
        "id": "0123",
        "n": 12,
        "b": True,
    }


def test_json_and_nothing_are_documents_too(tmp_path: Path) -> None:
    assert read(tmp_path, '\ufeff{"a": [1]}') == {"a": [1]}
    assert read(tmp_path, "") == {}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3: key 'a' stands twice"),
        ("- a", "mapping"),
        ("a: [", "line"),
        (b"\xff", "it is not UTF-8 text"),
    ],
)
def test_a_document_that_is_none_is_refused_with_its_file(
    tmp_path: Path, text: str | bytes, says: str
) -> None:
    with pytest.raises(ConfigError) as wrong:
        read(tmp_path, text)
    assert wrong.value.problems[0].file == "x.yaml"
    assert says in str(wrong.value)


def test_every_mistake_is_told_at_once_with_near_matches() -> None:
    with pytest.raises(ConfigError) as wrong:
        parsed(
            Settings,
            {"setle": "1s", "batch": "many", "roots": [{"name": "a", "pth": "b"}], "memory_limit": "much"},
            "amci.yaml",
        )
    text = str(wrong.value)
    for words in ("setle: unknown key (did you mean 'settle'?)", "batch", "roots.0.path: field required",
                  "did you mean 'path'?", "memory_limit: should be a size"):  # fmt: skip
        assert words in text


class Inner(Strict):
    lines: int = 0


class Outer(Strict):
    kind_of: str = Field(default="", alias="kind")
    inner_of: Inner = Field(default=Inner(), alias="inner")


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"kin": "a"}, "kin: unknown key (did you mean 'kind'?)"),
        ({"kind_of": "a"}, "kind_of: unknown key"),
        ({"inner": {"line": 1}}, "inner.line: unknown key (did you mean 'lines'?)"),
    ],
)
def test_a_near_match_is_a_key_as_it_is_written(document: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError) as wrong:
        parsed(Outer, document, "x.yaml")
    assert says in str(wrong.value)
    assert "'kind_of'" not in str(wrong.value)


def test_the_environment_lies_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "amci.yaml"
    path.write_text("batch: 3\nmemory_limit: 2GB\n", encoding="utf-8")
    settings = read_settings(path, {"AMCI_BATCH": "7", "AMCI_SETTLE": "", "AMCI_ROOTS": "ignored"})
    assert (settings.batch, settings.memory_limit) == (7, 2 * 1024**3)
    assert settings.settle == Settings().settle
    with pytest.raises(ConfigError, match="AMCI_BATCH"):
        read_settings(path, {"AMCI_BATCH": "many"})


def numbers(model: type[BaseModel]) -> list[tuple[type[BaseModel], str]]:
    """The fields of a model that hold numbers, sizes or durations."""
    kinds = {int, float, timedelta}
    return [
        (model, name)
        for name, field in model.model_fields.items()
        if kinds & {field.annotation, *get_args(field.annotation)}
    ]


NUMBERS = [
    pair for model in (Settings, AmcSettings, SandboxSettings, Dataset, Tenant) for pair in numbers(model)
]


@pytest.mark.parametrize(
    ("model", "name"), NUMBERS, ids=[f"{model.__name__}.{name}" for model, name in NUMBERS]
)
@pytest.mark.parametrize("value", [-1, "-5s", 10**40, "9" * 400, "9" * 400 + "d", float("inf"), float("nan")])
def test_every_number_has_bounds(model: type[BaseModel], name: str, value: object) -> None:
    with pytest.raises(ConfigError) as refused:
        parsed(model, {name: value}, "x.yaml")
    assert name in {problem.field.partition(".")[0] for problem in refused.value.problems}


@pytest.mark.parametrize(
    "name", ["lease", "scan_every", "query_timeout", "batch", "max_attempts", "memory_limit"]
)
def test_what_would_stand_still_with_nothing_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        parsed(Settings, {name: 0}, "amci.yaml")


@pytest.mark.parametrize("text", ["[" * 5000 + "]" * 5000, "{a: " * 5000 + "1" + "}" * 5000])
def test_a_document_that_is_nested_too_deeply_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="nested too deeply"):
        read(tmp_path, text)


#: What YAML readers do not agree on, and what is wrong.
# fmt: off
ODD = [
    "a: b", "a:\tb", "- a\t", "{a: b?}", "[x?, y]", "? a", "!", "!!str 1", "!!int x",
    "%YAML 1.2\n---\na: 1", "\ufeffa: 1", "a\n\ufeff", "a: |#\n b", "a: >- # c\n b", 'a: "\\x41\\u00e9"',
    "a: 'it''s'", "a: [1, 2", "{a:1}", "{a: http://x:1}", "a: *b", "a: &b [*b]", "a: &b 1\nc: *b",
    "<<: {a: 1}\nb: 2", "a: 1\na: 2", "a: |2\n   b\n", "a: 1\n b: 2", "--- a\n--- b\n", "- - - a",
    "a: @b", "a: `b`", '"a', "'a", "a: \x07", "a: �", "a: \x85b", "a: 1_000", "a: 0o17", "a: 1e3",
    "a: 2026-11-01", "a: ~", "a: !x b", "*b : 1", "a: b #c", "a: b# c", "a: # c\n", "[a, ]", "{a, b: }",
    "a: b: c", " a: 1\nb: 2", "- a\nb: 1", "a:\r\n  b: 1\r\n", "a\u2028b",
]
# fmt: on


def outcome(text: str) -> object:
    try:
        return read_text(text, "x.yaml")
    except ConfigError as error:
        return error.problems


@pytest.mark.parametrize("seed", range(20))
def test_libyaml_changes_neither_values_nor_words(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    random = Random(seed)  # noqa: S311 - to be the same each time
    own = [path.read_text() for path in sorted((ROOT / "config").rglob("*.yaml"))]
    lines = [line for text in own for line in text.splitlines()]
    texts = [*own, *ODD] if not seed else []
    for _ in range(60):
        text = "\n".join(random.choices(lines, k=random.randint(1, 4)))
        at = random.randrange(len(text) + 1)
        texts.append(f"{text[:at]}{random.choice([*ODD, *':{}[],#&*!|>%@`-? '])}{text[at:]}")
    quick = [outcome(text) for text in texts]
    assert config._LOADERS[0] is not config._UniqueKeys
    monkeypatch.setattr(config, "_LOADERS", (config._UniqueKeys,))
    assert [repr(one) for one in quick] == [repr(outcome(text)) for text in texts]
