"""Further datasets of the AWS solution, from its `datasets_parameters.json` (aws-solution 3.2)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from amci.kernel.config import parsed
from amci.kernel.errors import ConfigError, Problem, collected
from amci.lake.datasets.dataset import Dataset

#: Transforms of the solution that amci does without being told, or that stood for one to be written.
_NO_LOSS = ("default_heavy_transform", "light_transform_blueprint", "heavy_transform_blueprint")
#: Its light transform that any dataset can have here.
_REPORTS = "reports_light_transform"
_KEYS = {"dataset", "pipeline", "config"}


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsDataset:
    """One entry of the file."""

    document: Mapping[str, Any]  #: for config/datasets/, without transforms of people's own
    light: str = ""  #: the transforms that it names and amci does not have
    heavy: str = ""
    not_carried_over: tuple[str, ...] = ()


def is_parameters(document: Mapping[str, Any]) -> bool:
    """Whether this is a `datasets_parameters.json`: lists of datasets by environment."""
    lists = list(document.values())
    return bool(lists) and all(
        isinstance(each, list) and all(isinstance(one, Mapping) and "dataset" in one for one in each)
        for each in lists
    )


def datasets_from(document: Mapping[str, Any], shown: str) -> dict[str, AwsDataset]:
    """The datasets of such a file by id; raises ConfigError with every mistake."""
    found: dict[str, AwsDataset] = {}
    problems: list[Problem] = []
    for environment, entries in document.items():
        for position, entry in enumerate(entries):
            at = f"{environment}.{position}"
            with collected(problems):
                dataset = _dataset(entry, shown, at)
                if found.setdefault(str(entry["dataset"]), dataset) != dataset:
                    says = f"'{entry['dataset']}' stands twice, and differs"
                    problems.append(Problem(shown, f"{at}.dataset", says))
    if problems:
        raise ConfigError(problems)
    return found


def _dataset(entry: Mapping[str, Any], shown: str, at: str) -> AwsDataset:
    config = entry.get("config") or {}
    if not isinstance(config, Mapping):
        raise ConfigError([Problem(shown, f"{at}.config", "should be a mapping of keys to values")])
    unknown = [Problem(shown, f"{at}.{key}", "unknown key") for key in entry if key not in _KEYS]
    names = {stage: str(config.get(f"stage_{stage}_transform") or "") for stage in ("a", "b")}
    document = {"dataset": entry["dataset"]}
    if names["a"] == _REPORTS:
        document |= {"format": "json", "light": _REPORTS}
    try:
        parsed(Dataset, document, shown)
    except ConfigError as error:
        unknown += [Problem(shown, f"{at}.{p.field}", p.says) for p in error.problems]
    if unknown:
        raise ConfigError(unknown)
    light, heavy = ("" if name in (*_NO_LOSS, _REPORTS) else name for name in names.values())
    pipeline = ("pipeline",) if entry.get("pipeline") not in (None, "insights") else ()
    return AwsDataset(document=document, light=light, heavy=heavy, not_carried_over=pipeline)


def with_transforms(given: AwsDataset, known: Collection[str]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The document with those of its transforms that config/transforms/ has, and what is not carried over."""
    named = {"light": given.light, "heavy": given.heavy}
    there = {field: name for field, name in named.items() if name in known}
    stages = {"light": "stage_a_transform", "heavy": "stage_b_transform"}
    lost = [f"{stages[field]} {name}" for field, name in named.items() if name and field not in there]
    return {**given.document, **there}, (*given.not_carried_over, *lost)
