"""Brings documents of the AWS solution into a workspace: tenants, workflows, schedules, datasets and credentials."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from amci.app.aws_import.datasets import AwsDataset, datasets_from, is_parameters, with_transforms
from amci.app.aws_import.deletions import delete_schedule, delete_workflow
from amci.app.aws_import.dynamodb import plain
from amci.kernel.config import parsed, read_text
from amci.kernel.errors import ConfigError, Problem
from amci.kernel.files import write_bytes
from amci.kernel.plugins import find
from amci.kernel.workspace import WorkspacePaths
from amci.lake.datasets import library as datasets_library
from amci.lake.datasets.dataset import Dataset
from amci.scheduler import aws_schedule
from amci.scheduler.config import ScheduleFile
from amci.tenants.credentials import Credential, CredentialStore, credentials_from
from amci.tenants.documents import each_document, is_customer, tenants_from
from amci.tenants.model import Tenant
from amci.tenants.registry import Registry
from amci.workflows.definitions import aws_names, library, workflow_pull

_EXECUTION = ("createExecution", "cancelExecution", "getExecutionStatus")


class DocumentKind(StrEnum):
    """What a document describes."""

    TENANT = "tenant"
    WORKFLOW = "workflow"
    SCHEDULE = "schedule"
    DATASET = "dataset"
    CREDENTIALS = "credentials"


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What became of one thing in a document."""

    what: DocumentKind
    name: str
    done: str  #: created, updated, unchanged, written, stored, kept, removed; of a question: there, missing
    why: str = ""
    not_carried_over: Sequence[str] = ()  #: keys of the document that mean nothing to amci


@dataclass(frozen=True, slots=True)
class AwsDocuments:
    """Documents that were read, in amci's form."""

    tenants: list[Tenant] = field(default_factory=list)
    #: keys without a place here, by tenant
    unused: dict[str, tuple[str, ...]] = field(default_factory=dict)
    #: id → definition as AMC spells it, ids of tenants
    workflows: dict[str, tuple[Mapping[str, Any], Sequence[str]]] = field(default_factory=dict)
    #: name → document for config/schedules/
    schedules: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    #: by id
    datasets: dict[str, AwsDataset] = field(default_factory=dict)
    #: workflows that are asked for, with the customers
    asked: dict[str, Sequence[str]] = field(default_factory=dict)
    #: workflows to delete, with the customers
    deleted_workflows: dict[str, Sequence[str]] = field(default_factory=dict)
    #: schedules to delete
    deleted_schedules: list[str] = field(default_factory=list)
    #: by auth_id
    credentials: dict[str, Credential] = field(default_factory=dict)
    #: what is odd, in sentences
    notes: list[str] = field(default_factory=list)


def kind_of(document: Mapping[str, Any]) -> DocumentKind | None:
    """What a document describes; None if it is nothing that can be imported."""
    if is_customer(document):
        return DocumentKind.TENANT
    if aws_names.is_request(document):
        return DocumentKind.WORKFLOW
    if aws_schedule.is_schedule(document):
        return DocumentKind.SCHEDULE
    if is_parameters(document):
        return DocumentKind.DATASET
    entries = [document] if "client_id" in document else list(document.values())
    is_secret = bool(entries) and all(isinstance(e, Mapping) and "client_id" in e for e in entries)
    return DocumentKind.CREDENTIALS if is_secret else None


def read_documents(texts: Iterable[tuple[str, str]]) -> AwsDocuments:
    """Read documents, JSON or YAML, each one or a list: (name in messages, text).

    Raises ConfigError with every mistake in all of them.
    """
    documents, problems = AwsDocuments(), list[Problem]()
    for shown, text in texts:
        try:
            for given in plain(read_text(text, shown)):
                for _, document in each_document(given):
                    _take(documents, document, shown)
        except ConfigError as error:
            problems += error.problems
        except ValueError as error:
            problems.append(Problem(shown, "", str(error)))
    problems += [
        Problem("", f"{what} {name}", "is both defined and deleted; import the documents one after the other")
        for what, defined, deleted in (
            ("workflow", documents.workflows, documents.deleted_workflows),
            ("schedule", documents.schedules, documents.deleted_schedules),
        )
        for name in deleted
        if name in defined
    ]
    if problems:
        raise ConfigError(problems, hint="nothing was imported")
    return documents


def _take(into: AwsDocuments, document: object, shown: str) -> None:
    """Add what one document holds; raises ConfigError and ValueError."""
    if not isinstance(document, Mapping):
        raise ValueError("should be a mapping of keys to values, or a list of them")  # noqa: TRY004 - as pydantic's
    match kind_of(document):
        case DocumentKind.TENANT:
            given = tenants_from(document, shown)
            into.tenants.extend(given.tenants)
            into.unused.update(given.unused)
            into.notes.extend(given.notes)
        case DocumentKind.WORKFLOW:
            _take_workflow(into, document, shown)
        case DocumentKind.DATASET:
            _take_datasets(into, document, shown)
        case DocumentKind.SCHEDULE:
            _take_schedule(into, document, shown)
        case DocumentKind.CREDENTIALS:
            into.credentials.update(credentials_from(json.dumps(document), shown, None))
        case None:
            raise ValueError(_unknown(document))


def _take_workflow(into: AwsDocuments, document: Mapping[str, Any], shown: str) -> None:
    """The same workflow of several customers is one workflow for all of them."""
    request = aws_names.request(document)
    if request.kind in ("getWorkflow", "deleteWorkflow"):
        missing = [("workflowId", request.workflow_id), ("customerId", request.customers)]
        if problems := [Problem(shown, name, "field required") for name, value in missing if not value]:
            raise ConfigError(problems)
        if request.is_record:
            into.notes.append(
                f"{shown}: {request.kind} of {request.workflow_id} was carried out there; left out"
            )
            return
        asked = into.asked if request.kind == "getWorkflow" else into.deleted_workflows
        asked[request.workflow_id] = [*asked.get(request.workflow_id, []), *request.customers]
        return
    definition = aws_names.definition(document)
    tenants = definition.pop("tenants", [])
    workflow_id = str(definition.get("workflowId") or "")
    if not workflow_id:
        raise ConfigError([Problem(shown, "workflowId", "field required")])
    before, others = into.workflows.get(workflow_id, (definition, []))
    if before != definition:
        raise ConfigError([Problem(shown, "workflowId", f"'{workflow_id}' stands twice, and differs")])
    into.workflows[workflow_id] = definition, list(dict.fromkeys([*others, *tenants]))


def _take_datasets(into: AwsDocuments, document: Mapping[str, Any], shown: str) -> None:
    for name, dataset in datasets_from(document, shown).items():
        if into.datasets.setdefault(name, dataset) != dataset:
            raise ConfigError([Problem(shown, "dataset", f"'{name}' stands twice, and differs")])


def _take_schedule(into: AwsDocuments, document: Mapping[str, Any], shown: str) -> None:
    if (rule := aws_schedule.deleted(document)) is not None:
        into.deleted_schedules.append(rule)
        return
    ours = aws_schedule.ours(document)
    if "execution_request" in document or "Input" in document:
        # AMC put the results of executions that were asked for by API there: new rows go to the table they had.
        ours.setdefault("schedule_folder", "adhoc")
    name = parsed(ScheduleFile, ours, shown).schedule
    if into.schedules.setdefault(name, ours) != ours:
        raise ConfigError([Problem(shown, "schedule", f"'{name}' stands twice, and differs")])


def import_documents(
    workspace: WorkspacePaths,
    documents: AwsDocuments,
    credentials: CredentialStore,
    *,
    force: bool = False,
    dry_run: bool = False,
) -> list[Imported]:
    """Write what was read into config/ and the credentials; with `dry_run`, only say what would be done.

    A tenant that is there is changed; a workflow, schedule or dataset that is there is kept, unless `force` replaces
    it. What a request deletes is removed if it is exactly that. AMC is not asked.
    Raises ConfigError, before anything is written, for tenants that clash with others; StorageError, AuthError.
    """
    registry = Registry(workspace.config)
    changes = registry.plan(documents.tenants).changes
    if documents.tenants and not dry_run:
        registry.add(documents.tenants)
    found = [
        Imported(
            what=DocumentKind.TENANT, name=name, done=done, not_carried_over=documents.unused.get(name, ())
        )
        for done in ("created", "updated", "unchanged")
        for name in getattr(changes, done)
    ]
    found += _deleted(workspace, documents, dry_run)
    folder = workspace.config / "workflows"
    known = library.read(folder, [], workspace.relative)
    for name, (definition, tenants) in documents.workflows.items():
        done, why = workflow_pull.pull(
            folder, definition, tenants, known.get(name), is_forced=force, is_dry=dry_run
        )
        found.append(Imported(what=DocumentKind.WORKFLOW, name=name, done=done, why=why))
    for name, document in documents.schedules.items():
        done, why = _write(workspace.config / "schedules", name, document, ScheduleFile, force, dry_run)
        found.append(Imported(what=DocumentKind.SCHEDULE, name=name, done=done, why=why))
    found += _datasets(workspace, documents.datasets, force, dry_run)
    for name, customers in documents.asked.items():
        done = "there" if name in known or name in documents.workflows else "missing"
        commands = [f"`amci workflow show {name} --tenant {tenant} --remote`" for tenant in customers]
        why = f"in config/workflows/; what AMC has: {'; '.join(commands)}"
        found.append(Imported(what=DocumentKind.WORKFLOW, name=name, done=done, why=why))
    if documents.credentials and not dry_run:
        credentials.put(documents.credentials)
    found += [
        Imported(what=DocumentKind.CREDENTIALS, name=auth_id, done="stored")
        for auth_id in documents.credentials
    ]
    return found


def _deleted(workspace: WorkspacePaths, documents: AwsDocuments, dry_run: bool) -> Iterator[Imported]:
    for name in documents.deleted_schedules:
        done, why = delete_schedule(workspace, name, is_dry=dry_run)
        yield Imported(what=DocumentKind.SCHEDULE, name=name, done=done, why=why)
    for name, customers in documents.deleted_workflows.items():
        gone = documents.deleted_schedules
        done, why = delete_workflow(workspace, name, customers, without=gone, is_dry=dry_run)
        yield Imported(what=DocumentKind.WORKFLOW, name=name, done=done, why=why)


def _datasets(
    workspace: WorkspacePaths, datasets: Mapping[str, AwsDataset], force: bool, dry_run: bool
) -> Iterator[Imported]:
    if not datasets:
        return
    folder = workspace.config / "datasets"
    sources = datasets_library.read(folder, [], workspace.relative)[1]
    transforms = (
        find(workspace.config / "transforms", (), [])
        if any(d.light or d.heavy for d in datasets.values())
        else {}
    )
    for name, given in datasets.items():
        document, lost = with_transforms(given, transforms)
        source = sources.get(name)
        if source and name in datasets_library.built_in_documents():
            done, why = "kept", "it comes with amci"
        elif source and source.file != f"config/datasets/{name}.yaml":
            done, why = "kept", f"it is in {source.file}"
        else:
            done, why = _write(folder, name, document, Dataset, force, dry_run)
        if names := [each.partition(" ")[2] for each in lost if "_transform " in each]:
            why = why or f"write {' and '.join(names)} into config/transforms/, then name each in {name}.yaml"
        yield Imported(what=DocumentKind.DATASET, name=name, done=done, why=why, not_carried_over=lost)


def _write(
    folder: Path, name: str, document: Mapping[str, Any], model: type[BaseModel], force: bool, dry_run: bool
) -> tuple[str, str]:
    """Write a file of config/ with its fields in the order of the model, unless there is one."""
    there = [path for suffix in (".yaml", ".yml", ".json") if (path := folder / f"{name}{suffix}").exists()]
    if there and not force:
        return "kept", f"{there[0].name} is there already; --force replaces it"
    if not dry_run:
        keys = [info.alias or key for key, info in model.model_fields.items()]
        ordered = {key: document[key] for key in keys if key in document}
        text = yaml.safe_dump(ordered, sort_keys=False, allow_unicode=True, width=100)
        write_bytes(folder / f"{name}.yaml", text.encode())
        for other in there:
            if other.suffix != ".yaml":
                other.unlink()
    return "written", ""


def _unknown(document: Mapping[str, Any]) -> str:
    if "createExecutionRequest" in document or document.get("requestType") in _EXECUTION:
        return "is a request for an execution: `amci exec run --request FILE` does what it says"
    return "is not a customer, workflow, schedule, secret or datasets_parameters.json of the AWS solution"
