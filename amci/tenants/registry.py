"""The tenants in config/tenants/: reads them, and adds, changes or removes them all or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from amci.kernel.config import documents_in, parsed, read_document
from amci.kernel.errors import ConfigError, Problem, collected
from amci.kernel.files import bounded_bytes, storage_errors, text_of, write_bytes
from amci.kernel.text import utf8
from amci.tenants.checks import TenantFault, clashes, faults, shared
from amci.tenants.documents import tenants_from
from amci.tenants.model import Tenant, tenant_named

_HINT = "nothing was changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What adding or updating tenants did, by their ids."""

    created: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()  #: sentences
    not_carried_over: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    #: keys of the AWS solution's form that rewriting a file leaves out, by tenant


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """What removing a tenant did."""

    file: Path  #: the file it was in
    is_file_kept: bool  #: since it holds other tenants
    not_carried_over: Mapping[str, tuple[str, ...]]  #: as in Changes


@dataclass(frozen=True, slots=True)
class RegistryPlan:
    """What adding or updating tenants would do."""

    changes: Changes
    files: Mapping[Path, str]  #: what would be written where


def read_tenants(
    config_folder: Path, problems: list[Problem], *, is_lenient: bool = False
) -> dict[str, tuple[Path, Tenant]]:
    """The tenants in `config_folder`/tenants by id, each with its file; adds to `problems` what is wrong.

    A file holds one tenant or several, in amci's form or the AWS solution's. `is_lenient` also takes tenants
    that AMC would refuse (such as a wrong region), which is how `amci tenant update` can correct them.
    """
    tenants: dict[str, tuple[Path, Tenant]] = {}
    paths: list[Path] = []
    with collected(problems):
        paths = documents_in(config_folder / "tenants")
    for path in paths:
        shown = str(path.relative_to(config_folder.parent))
        with collected(problems):
            for tenant in tenants_from(read_document(path, shown), shown, is_lenient=is_lenient).tenants:
                if tenant.tenant in tenants:
                    elsewhere = "in another file" if tenants[tenant.tenant][0] != path else "in this file"
                    says = f"'{tenant.tenant}' is defined {elsewhere} already"
                    problems.append(Problem(shown, "tenant", says))
                tenants[tenant.tenant] = (path, tenant)
    return tenants


class Registry:
    """The tenants of a workspace, read from disk each time they are asked for."""

    def __init__(self, config_folder: Path) -> None:
        """`config_folder` is the workspace's `config/`."""
        self._folder = config_folder / "tenants"
        self._home = config_folder.parent

    def tenants(self) -> dict[str, Tenant]:
        """All tenants by id; raises ConfigError with every problem of every file."""
        return {tenant_id: tenant for tenant_id, (_, tenant) in self._read().items()}

    def get(self, tenant_id: str) -> Tenant:
        """The tenant with this id; raises NotFound, ConfigError."""
        return tenant_named(self.tenants(), tenant_id)

    def plan(self, tenants: Iterable[Tenant]) -> RegistryPlan:
        """What `add` would do, with nothing done; raises ConfigError with every problem."""
        have = self._read()
        wanted: dict[str, Tenant] = {}
        problems = []
        for given in tenants:
            if given.tenant in wanted:
                twice = TenantFault("tenant", "stands twice in what is added")
                problems.append(_problem(given, twice, {}))
            old = have.get(given.tenant)
            wanted[given.tenant] = _merged(old[1], given) if old else given
        return self._planned(have, wanted, problems)

    def add(self, tenants: Iterable[Tenant]) -> Changes:
        """Create or change these tenants, all of them or, with ConfigError or StorageError, none.

        What a document does not speak of stays as it was, such as `shared_workflows` and `tags` if a tenant
        comes again in the AWS solution's form.
        """
        return self._carried_out(self.plan(tenants))

    def update(self, tenant_id: str, changes: Mapping[str, Any]) -> Changes:
        """Change fields of a tenant; raises NotFound, ConfigError, StorageError.

        Its file is rewritten in amci's own form: comments at its top are kept, others are not, and a note
        says so.
        """
        have = self._read()
        path, old = _entry(have, tenant_id)
        document = old.model_dump(mode="json", exclude_defaults=True)
        if "marketplace_id" in changes:
            document.pop("region", None)
        new = parsed(Tenant, document | dict(changes), self._shown(path))
        if new.tenant != tenant_id:
            says = "a tenant keeps its id; add the new one and remove this one"
            raise ConfigError([Problem(self._shown(path), "tenant", says)], hint=_HINT)
        return self._carried_out(self._planned(have, {tenant_id: new}, []))

    def remove(self, tenant_id: str) -> Removal:
        """Forget a tenant, whose data stays; its file is deleted if it holds no other tenant.

        Raises NotFound, ConfigError, StorageError.
        """
        have = self._read()
        path, _ = _entry(have, tenant_id)
        left = [tenant for name, (file, tenant) in have.items() if file == path and name != tenant_id]
        unused = self._unused(path)
        with storage_errors(f"remove {path.name}"):
            if left:
                write_bytes(path, _text(left, path).encode())
            else:
                path.unlink()
        kept = {tenant.tenant for tenant in left}
        not_carried_over = {name: keys for name, keys in unused.items() if name in kept}
        return Removal(file=path, is_file_kept=bool(left), not_carried_over=not_carried_over)

    def _read(self) -> dict[str, tuple[Path, Tenant]]:
        problems: list[Problem] = []
        tenants = read_tenants(self._folder.parent, problems, is_lenient=True)
        if problems:
            raise ConfigError(problems, hint=f"fix the files named above; {_HINT}")
        return tenants

    def _planned(
        self,
        have: Mapping[str, tuple[Path, Tenant]],
        wanted: Mapping[str, Tenant],
        problems: list[Problem],
    ) -> RegistryPlan:
        new = {name: tenant for name, tenant in wanted.items() if name not in have}
        changed = {name: t for name, t in wanted.items() if name in have and have[name][1] != t}
        touched = new | changed
        after = {name: tenant for name, (_, tenant) in have.items()} | touched
        files = {name: self._shown(path) for name, (path, _) in have.items()}
        problems = [*problems, *(_problem(t, f, files) for t in touched.values() for f in faults(t))]
        problems += [*self._taken(have, new), *clashes(after, touched, self._home, files)]
        if problems:
            raise ConfigError(problems, hint=_HINT)
        paths = {name: have[name][0] if name in have else self._path(name) for name in touched}
        rewritten = {paths[name]: None for name in changed}
        notes = [self._lost_comments(path) for path in rewritten]
        unused = {name: keys for path in rewritten for name, keys in self._unused(path).items()}
        texts = {path: _text(self._in_file(path, paths, have, after), path) for path in paths.values()}
        return RegistryPlan(
            Changes(
                created=tuple(new),
                updated=tuple(changed),
                unchanged=tuple(name for name in wanted if name not in touched),
                notes=(*filter(None, notes), *shared(after, touched)),
                not_carried_over=unused,
            ),
            texts,
        )

    @staticmethod
    def _in_file(
        path: Path,
        paths: Mapping[str, Path],
        have: Mapping[str, tuple[Path, Tenant]],
        after: Mapping[str, Tenant],
    ) -> list[Tenant]:
        """The tenants of a file as they are to be: those that change, and those beside them."""
        files = {name: file for name, (file, _) in have.items()} | dict(paths)
        return [after[name] for name, file in files.items() if file == path]

    def _taken(self, have: Mapping[str, tuple[Path, Tenant]], new: Iterable[str]) -> list[Problem]:
        """A new tenant's file may have been given to another one by hand."""
        owners = {path: name for name, (path, _) in have.items()}
        return [
            Problem(self._shown(path), "tenant", f"this file is tenant {owners[path]}'s; rename it first")
            for name in new
            if (path := self._path(name)) in owners
        ]

    def _carried_out(self, plan: RegistryPlan) -> Changes:
        with _all_or_none(plan.files):
            for path, text in plan.files.items():
                write_bytes(path, utf8(text))
        return plan.changes

    def _path(self, tenant_id: str) -> Path:
        return self._folder / f"{tenant_id}.yaml"

    def _shown(self, path: Path) -> str:
        return str(path.relative_to(self._home))

    def _unused(self, path: Path) -> Mapping[str, tuple[str, ...]]:
        """The keys of a file in the AWS solution's form that amci's own form has no place for, by tenant."""
        shown = self._shown(path)
        return tenants_from(read_document(path, shown), shown, is_lenient=True).unused

    def _lost_comments(self, path: Path) -> str:
        """A note if rewriting the file loses comments, else an empty text."""
        below = text_of(path).removeprefix(_top_comments(path))
        if not any(line.lstrip().startswith("#") or " #" in line for line in below.splitlines()):
            return ""
        return f"{self._shown(path)} is rewritten: comments at its top are kept, those below are not"


@contextmanager
def _all_or_none(paths: Iterable[Path]) -> Iterator[None]:
    """Restore these files if the block raises."""
    before = {path: bounded_bytes(path) if path.exists() else None for path in paths}
    done = False
    try:
        yield
        done = True
    finally:
        for path, content in before.items() if not done else ():
            if content is None:
                path.unlink(missing_ok=True)
            elif bounded_bytes(path) != content:
                write_bytes(path, content)


def _merged(old: Tenant, given: Tenant) -> Tenant:
    """The old tenant with what the given one speaks of."""
    return old.model_copy(update={name: getattr(given, name) for name in given.model_fields_set})


def _entry(have: Mapping[str, tuple[Path, Tenant]], tenant_id: str) -> tuple[Path, Tenant]:
    tenant_named({name: tenant for name, (_, tenant) in have.items()}, tenant_id)
    return have[tenant_id]


def _problem(tenant: Tenant, fault: TenantFault, files: Mapping[str, str]) -> Problem:
    """What is wrong with a tenant, in its file if it has one yet."""
    return Problem(files.get(tenant.tenant, f"tenant {tenant.tenant}"), fault.field, fault.says)


def _text(tenants: Sequence[Tenant], path: Path) -> str:
    """A file as a person would write it: one tenant, or several under `tenants`."""
    each = [_document(tenant) for tenant in tenants]
    document = each[0] if len(each) == 1 else {"tenants": each}
    if path.suffix == ".json":
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    body = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100)
    return (_top_comments(path) if path.exists() else "") + body


def _document(tenant: Tenant) -> dict[str, Any]:
    """A tenant's fields in the model's order, without defaults."""
    document = tenant.model_dump(mode="json", exclude_defaults=True)
    if tenant.instance_id:
        document |= {"region": tenant.region}
    return {name: document[name] for name in Tenant.model_fields if name in document}


def _top_comments(path: Path) -> str:
    """The comment and empty lines a file begins with."""
    kept = []
    for line in text_of(path).splitlines(keepends=True):
        if line.strip() and not line.startswith("#"):
            break
        kept.append(line)
    return "".join(kept)
