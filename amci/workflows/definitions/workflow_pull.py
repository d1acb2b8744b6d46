"""A workflow as it is in AMC, written into config/workflows/ as people would write it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from amci.kernel.config import parsed
from amci.kernel.errors import ConfigError
from amci.kernel.files import write_bytes
from amci.kernel.text import utf8
from amci.workflows.definitions import aws_names
from amci.workflows.definitions.definition import InputParameter, Workflow

#: What only amci knows of a workflow, so that a pull leaves it as it is.
_OURS = {
    "version",
    "description",
    "tags",
    "tenants",
    "tenant_tags",
    "all_tenants",
    "window",
    "values",
}
_SUFFIXES = (".yaml", ".yml", ".json", ".sql")


def pull(
    folder: Path,
    remote: Mapping[str, Any],
    tenant_ids: Sequence[str],
    known: Workflow | None,
    *,
    is_forced: bool,
    is_dry: bool = False,
) -> tuple[str, str]:
    """Write `<id>.sql` and `<id>.yaml` for these tenants; returns what was done and why: `written` or `kept`.

    `remote` is the definition as AMC spells it; with `is_dry` nothing is written.

    What is there already is kept unless forced; then amci's own fields of the `known` workflow stay. Raises
    StorageError if the disk refuses.
    """
    workflow_id = str(remote.get("workflowId", ""))
    try:
        document, text = _document(remote, tenant_ids, known)
    except (ConfigError, ValueError) as error:
        return "kept", f"amci cannot read what AMC has: {error}"
    there = [path for suffix in _SUFFIXES if (path := folder / f"{workflow_id}{suffix}").exists()]
    if known and not there:
        return "kept", "it is defined in a file of another name"
    if there and not is_forced:
        return "kept", f"{there[0].name} is there already; --force replaces it"
    if is_dry:
        return "written", ""
    write_bytes(folder / f"{workflow_id}.sql", utf8(text))
    lines = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)
    write_bytes(folder / f"{workflow_id}.yaml", utf8(lines))
    for other in there:
        if other.suffix in (".yml", ".json"):
            other.unlink()
    return "written", ""


def _document(
    remote: Mapping[str, Any], tenant_ids: Sequence[str], known: Workflow | None
) -> tuple[dict[str, Any], str]:
    """The fields of the YAML file, and the SQL; raises ConfigError or ValueError for what no workflow can be."""
    fields = aws_names.ours({k: v for k, v in remote.items() if v is not None}, Workflow.model_fields)
    text = f"{str(fields.pop('sql', '')).strip()}\n"
    more = {name: fields.pop(name) for name in list(fields) if name not in Workflow.model_fields}
    if "input_parameters" in fields:
        fields["input_parameters"] = [_parameter(p) for p in fields["input_parameters"]]
    own = (
        known.model_dump(mode="json", include=_OURS, exclude_unset=True)
        if known
        else {"tenants": list(tenant_ids)}
        if tenant_ids
        else {}
    )
    document = (
        {"workflow_id": fields.pop("workflow_id", "")} | own | fields | ({"more": more} if more else {})
    )
    parsed(Workflow, document | {"sql": text}, "AMC's definition")
    return document, text


def _parameter(parameter: Mapping[str, Any]) -> dict[str, Any]:
    found = aws_names.ours(parameter, InputParameter.model_fields)
    if isinstance(found.get("data_type"), Mapping):
        # AMC's echo has elementNullable, which is never sent.
        found["data_type"] = {n: v for n, v in found["data_type"].items() if n != "elementNullable"}
    return {name: value for name, value in found.items() if value is not None}
