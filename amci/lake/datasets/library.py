"""The datasets of a project: those that come with amci, and one file each in config/datasets/."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from amci.kernel.config import documents_in, parsed, read_document
from amci.kernel.errors import NotFound, Problem, collected
from amci.kernel.names import near_or
from amci.lake.datasets.dataset import PLACEHOLDER, Dataset

#: Settings that are mappings of settings; each of these counts by itself.
_NESTED = ("csv", "json", "limits")


@dataclass(frozen=True, slots=True)
class DatasetSource:
    """Where a dataset's definition is from."""

    file: str  #: relative to the workspace; for one that comes with amci, words that say so
    built_in: Dataset | None = None  #: the one of the same name that comes with amci, if the file hides it
    is_extension: bool = False  #: whether what the file does not give comes from that one
    comes_with_amci: bool = False  #: whether there is no file

    @property
    def origin(self) -> str:
        """In words."""
        if self.is_extension:
            return f"{self.file}, extends the built-in one"
        return f"{self.file}, instead of the built-in one" if self.built_in else self.file


def read(
    folder: Path, problems: list[Problem], shown: Callable[[Path], str]
) -> tuple[dict[str, Dataset], dict[str, DatasetSource]]:
    """All datasets by id, and where each is from; what is wrong with them is added to `problems`.

    A file for the id of a built-in dataset extends that one: what the file gives counts, also inside `csv:`,
    `json:` and `limits:`, and everything else is as in the built-in one. `extends` of Dataset tells the exception.
    """
    built_in = built_in_documents()
    datasets = {name: parsed(Dataset, document, name) for name, document in built_in.items()}
    sources = {name: DatasetSource(f"built-in dataset {name}", comes_with_amci=True) for name in datasets}
    paths: list[Path] = []
    with collected(problems):
        paths = documents_in(folder)
    own: set[str] = set()
    for path in paths:
        name = shown(path)
        with collected(problems):
            document = read_document(path, name)
            given = str(document.get("dataset"))
            base = built_in.get(given)
            is_extension = base is not None and _extends(document, base)
            dataset = parsed(Dataset, _over(base, document) if base and is_extension else document, name)
            if given in own:
                problems.append(Problem(name, "dataset", f"'{given}' is defined in another file already"))
            own.add(given)
            hidden = parsed(Dataset, base, given) if base else None
            datasets[given], sources[given] = dataset, DatasetSource(name, hidden, is_extension)
    problems += _shared_schemas(datasets, sources)
    return datasets, sources


def built_in_documents() -> dict[str, dict[str, Any]]:
    """The documents of the datasets that come with amci, by id."""
    folder = resources.files("amci.lake") / "datasets"
    paths = sorted(Path(str(entry)) for entry in folder.iterdir() if entry.name.endswith(".yaml"))
    return {path.stem: read_document(path, path.name) for path in paths}


def dataset_named(datasets: Mapping[str, Dataset], name: str) -> Dataset:
    """The dataset with this id; raises NotFound with a near one as the hint."""
    if name in datasets:
        return datasets[name]
    raise NotFound(
        f"no dataset '{name}'",
        hint=near_or(name, datasets, "`amci lake datasets` shows the datasets"),
    )


def definition(dataset: Dataset) -> dict[str, Any]:
    """The whole definition as a document for config/datasets/, settings that are as usual included."""
    # How much is loaded together is no rule for rows, so it is not part of what they are loaded by.
    batch = {} if dataset.batch is None else {"batch": dataset.batch}
    return dataset.model_dump(mode="json", by_alias=True) | batch


def differences(dataset: Dataset, built_in: Dataset) -> list[str]:
    """In which settings the two differ, in words: `compat: aws (built-in: none)`."""
    have, base = _flat(definition(dataset)), _flat(definition(built_in))
    return [
        f"{name}: {_said(have.get(name))} (built-in: {_said(base.get(name))})"
        for name in dict.fromkeys([*base, *have])
        if have.get(name) != base.get(name)
    ]


def _shared_schemas(
    datasets: Mapping[str, Dataset], sources: Mapping[str, DatasetSource]
) -> Iterator[Problem]:
    """Datasets with the schema of another one: tables of both would mix."""
    owners: dict[str, str] = {}
    # Those that name a schema come last, for it is in their file that it can be changed.
    for name, dataset in sorted(datasets.items(), key=lambda entry: bool(entry[1].database)):
        owner = owners.setdefault(dataset.schema_name, name)
        if owner != name and dataset.database:
            says = f"'{dataset.schema_name}' is the schema of dataset {owner}, too: their tables would mix"
            yield Problem(sources[name].file, "database", says)


def _extends(document: Mapping[str, Any], built_in: Mapping[str, Any]) -> bool:
    if document.get("extends") is not None:
        return bool(document["extends"] == "built_in")
    default = Dataset.model_fields["pattern"].default
    needed = PLACEHOLDER.findall(built_in.get("pattern", default))
    pattern = document.get("pattern")
    return not isinstance(pattern, str) or set(needed) <= set(PLACEHOLDER.findall(pattern))


def _over(base: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, Any]:
    """`document` laid over `base`."""
    inner = {
        name: {**base[name], **document[name]}
        for name in _NESTED
        if isinstance(base.get(name), Mapping) and isinstance(document.get(name), Mapping)
    }
    return {**base, **document, **inner}


def _flat(document: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with those inside others as `csv.escape`."""
    found: dict[str, Any] = {}
    for name, value in document.items():
        if name in _NESTED:
            found |= {f"{name}.{inner}": one for inner, one in value.items()}
        else:
            found[name] = value
    return found


def _said(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(str, value))}]"
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
