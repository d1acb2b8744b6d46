from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from amci.kernel.config import parsed
from amci.kernel.errors import NotFound, Problem
from amci.lake.datasets.dataset import Dataset
from amci.lake.datasets.library import (
    DatasetSource,
    built_in_documents,
    dataset_named,
    definition,
    differences as differences_of,
    read,
)

BUILT_IN = built_in_documents()


def read_with(folder: Path, *documents: dict[str, Any]) -> tuple[Dataset, DatasetSource]:
    for n, document in enumerate(documents):
        (folder / f"{n}.json").write_text(json.dumps(document))
    problems: list[Problem] = []
    datasets, sources = read(folder, problems, lambda path: path.name)
    assert problems == []
    name = documents[0]["dataset"]
    return datasets[name], sources[name]


def built_in(name: str) -> Dataset:
    return parsed(Dataset, BUILT_IN[name], name)


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_file_that_gives_one_setting_extends_the_built_in_dataset(tmp_path: Path, name: str) -> None:
    dataset, source = read_with(tmp_path, {"dataset": name, "compat": "aws"})
    assert dataset == built_in(name).model_copy(update={"compat": "aws"})
    assert source.is_extension
    assert differences_of(dataset, built_in(name)) == ["compat: aws (built-in: none)"]


@pytest.mark.parametrize(
    ("given", "differs"),
    [
        ({"csv": {"delimiter": ";"}}, ["csv.delimiter: ; (built-in: auto)"]),
        ({"partition_by": []}, ["partition_by: [] (built-in: [customer_hash, export_year, export_month])"]),
        ({"light": None, "skip_if_all": None}, [
            "light: none (built-in: amc_light_transform)", "skip_if_all: none (built-in: filtered)",
        ]),
        ({"pattern": "{tenant}/{workflow}/{schedule}/{file}"}, [
            f"pattern: {{tenant}}/{{workflow}}/{{schedule}}/{{file}} (built-in: {BUILT_IN['amc']['pattern']})",
        ]),
    ],
)  # fmt: skip
def test_what_is_given_counts_and_the_rest_is_as_built_in(
    tmp_path: Path, given: dict[str, Any], differs: list[str]
) -> None:
    dataset, _ = read_with(tmp_path, {"dataset": "amc", **given})
    assert differences_of(dataset, built_in("amc")) == differs


@pytest.mark.parametrize(
    "given",
    [
        BUILT_IN["amc"] | {"partition_by": ["customer_hash"]},
        {"pattern": "mine/{file}"},
        {"extends": "none", "pattern": BUILT_IN["amc"]["pattern"]},
    ],
)
def test_a_dataset_that_is_whole_is_as_before(tmp_path: Path, given: dict[str, Any]) -> None:
    dataset, _ = read_with(tmp_path, {"dataset": "amc", **given})
    assert definition(dataset) == definition(Dataset(**({"dataset": "amc"} | given)))


def test_how_it_is_extended_is_no_rule_for_rows(tmp_path: Path) -> None:
    dataset, _ = read_with(tmp_path, {"dataset": "amc", "extends": "built_in"})
    assert dataset.model_dump_json() == built_in("amc").model_dump_json()


@pytest.mark.parametrize("document", [*BUILT_IN.values(), {
    "dataset": "shop", "pii": {"a": "drop", "b": {"hash": "email"}}, "limits": {"max_line": "2MiB"},
    "quality": [{"unique": ["a"], "on_fail": "fail"}, {"range": {"column": "a", "min": 1}}],
}])  # fmt: skip
def test_a_definition_is_a_document_for_the_same_dataset(document: dict[str, Any]) -> None:
    dataset = parsed(Dataset, document, "x")
    text = yaml.safe_dump(definition(dataset))
    assert definition(parsed(Dataset, yaml.safe_load(text), "x")) == definition(dataset)


def test_an_unknown_dataset_is_named_with_a_near_one() -> None:
    with pytest.raises(NotFound) as error:
        dataset_named({"amc": built_in("amc")}, "acm")
    assert error.value.hint == "did you mean 'amc'?"
