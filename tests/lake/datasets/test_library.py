from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from amci.kernel.config import parsed
from amci.kernel.errors import ConfigError, NotFound, Problem
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


STACK = "amcinsights_datalake_dev_{team}_{dataset}_db"


def test_a_dataset_may_be_a_database_of_the_aws_solution(tmp_path: Path) -> None:
    dataset, _ = read_with(tmp_path, {"dataset": "amc", "database": STACK})
    assert dataset.schema_name == "amcinsights_datalake_dev_adtech_amc_db"
    assert built_in("amc").schema_name == "adtech_amc"


@pytest.mark.parametrize(
    ("database", "says"),
    [
        ("Sales", "should be a name of small letters"),
        ("a/b", "should be a name of small letters"),
        ("{tenant}", "should be a name of small letters"),
        ("x" * 201, "should be a name of small letters"),
        ("main", "'main' is a schema of the database's own; rename `database`"),
        ("amci", "'amci' is a schema of the database's own; rename `database`"),
        ("adtech_amc", "'adtech_amc' is the schema of dataset amc, too: their tables would mix"),
    ],
)
def test_a_database_that_cannot_be_is_refused(tmp_path: Path, database: str, says: str) -> None:
    (tmp_path / "d.json").write_text(json.dumps({"dataset": "shop", "database": database}))
    problems: list[Problem] = []
    read(tmp_path, problems, lambda path: path.name)
    (problem,) = problems
    assert (problem.file, says in problem.says) == ("d.json", True)


@pytest.mark.parametrize("batch", [0, -1, 1_000_001, "many", 1.5])
def test_a_batch_is_a_number_of_objects(batch: Any) -> None:
    with pytest.raises(ConfigError, match=r"^d\.yaml: batch: input should be [^\n]+$"):
        parsed(Dataset, {"dataset": "shop", "batch": batch}, "d.yaml")


def test_how_much_is_loaded_together_is_no_rule_for_rows(tmp_path: Path) -> None:
    dataset, _ = read_with(tmp_path, {"dataset": "amc", "batch": 100})
    assert dataset.model_dump_json() == built_in("amc").model_dump_json()
    assert differences_of(dataset, built_in("amc")) == ["batch: 100 (built-in: none)"]


def test_an_unknown_dataset_is_named_with_a_near_one() -> None:
    with pytest.raises(NotFound) as error:
        dataset_named({"amc": built_in("amc")}, "acm")
    assert error.value.hint == "did you mean 'amc'?"


def test_names_of_columns_and_fields_to_drop_reach_the_readers() -> None:
    data = {
        "dataset": "own",
        "csv": {"columns": ["day", "units"]},
        "json": {"explode": True, "drop": ["meta"]},
    }
    dataset = Dataset.model_validate(data)
    assert dataset.csv_options.columns == ("day", "units")
    assert dataset.json_options.drop == {"meta", "reportSpecification"}
    with pytest.raises(ValueError, match="names that differ"):
        Dataset.model_validate(data | {"csv": {"columns": ["day", "day"]}})
