"""What differs between a workflow here and in AMC; what AMC leaves out or writes in its own way does not count."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from amci.workflows.definitions.run_factory import definition_hash
from amci.workflows.definitions.sql import loose_hash

#: Fields of AMC's workflow, in the order they are shown (amc-api 2.2).
FIELDS = (
    "sqlQuery",
    "inputParameters",
    "outputFormat",
    "filteredMetricsDiscriminatorColumn",
    "privacyFilteringBehavior",
    "distinctUserCountColumn",
    "filteredReasonColumn",
    "inputSchema",
    "outputColumns",
)
#: What AMC takes a field for that it was not given.
_DEFAULTS = {"privacyFilteringBehavior": "REMOVE_ROWS", "columnType": "DIMENSION"}


def diff(ours: Mapping[str, Any], remote: Mapping[str, Any]) -> list[str]:
    """Lines that say how `ours`, as `amc_definition` gives it, differs from what AMC has; none if it does not.

    Fields that amci does not know are compared only if they stand in `ours`.
    """
    return [line for field in _compared(ours) for line in _field(field, ours.get(field), remote.get(field))]


def fields(ours: Mapping[str, Any], remote: Mapping[str, Any]) -> list[str]:
    """The fields in which the two differ."""
    return [field for field in _compared(ours) if any(_field(field, ours.get(field), remote.get(field)))]


def hash_of(ours: Mapping[str, Any], remote: Mapping[str, Any]) -> str:
    """The hash of what AMC has; that of `ours` as long as they do not differ."""
    differing = {field: remote.get(field) for field in fields(ours, remote)}
    return definition_hash({**ours, **differing})


def _compared(ours: Mapping[str, Any]) -> list[str]:
    return [*FIELDS, *sorted(set(ours) - {*FIELDS, "workflowId"})]


def _field(field: str, mine: Any, theirs: Any) -> Iterable[str]:
    if field == "sqlQuery":
        return _sql(str(mine or ""), str(theirs or ""))
    if field == "inputParameters":
        return _parameters(_by_name(mine), _by_name(theirs))
    return _values(field, mine, theirs)


def _sql(mine: str, theirs: str) -> list[str]:
    if loose_hash(mine) == loose_hash(theirs):
        return []
    return list(
        difflib.unified_diff(_lines(theirs), _lines(mine), "sqlQuery in AMC", "sqlQuery here", lineterm="")
    )


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines() if line.strip()]


def _parameters(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted({*mine, *theirs}):
        if name not in theirs:
            yield f"inputParameters.{name}: here only"
        elif name not in mine:
            yield f"inputParameters.{name}: in AMC only"
        else:
            for field in sorted({*mine[name], *theirs[name]} - {"name"}):
                yield from _values(
                    f"inputParameters.{name}.{field}", mine[name].get(field), theirs[name].get(field)
                )


def _by_name(parameters: Any) -> dict[str, Mapping[str, Any]]:
    return {str(parameter.get("name")): parameter for parameter in parameters or ()}


def _values(path: str, mine: Any, theirs: Any) -> Iterator[str]:
    default = _DEFAULTS.get(path.rpartition(".")[2])
    mine, theirs = _plain(mine, default), _plain(theirs, default)
    if mine != theirs:
        yield f"{path}: {_shown(mine)} here, {_shown(theirs)} in AMC"


def _plain(value: Any, default: Any) -> Any:
    if value is None or (value != 0 and not value):
        return default
    if isinstance(value, Mapping):
        # AMC adds elementNullable to the types of arrays.
        return {name: part for name, part in value.items() if name != "elementNullable"}
    return list(value) if isinstance(value, tuple) else value


def _shown(value: Any) -> str:
    return "nothing" if value is None else json.dumps(value, ensure_ascii=False, default=str)
