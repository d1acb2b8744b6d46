"""The tenants in config/tenants/, a file each: adding, changing and removing them whole or not at all."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from amci.kernel.config import parsed, read_document
from amci.kernel.errors import ConfigError, NotFound, Problem
from amci.kernel.files import storage_errors, write_bytes
from amci.tenants.checks import clashes, faults, shared
from amci.tenants.model import Tenant

_HINT = "nothing was changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What adding or updating tenants did, by their ids."""

    created: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()  #: sentences


@dataclass(frozen=True, slots=True)
class RegistryPlan:
    """What adding or updating tenants would do."""

    changes: Changes
    files: Mapping[Path, str]  #: what would be written where


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
        return self._found(tenant_id)[1]

    def plan(self, tenants: Iterable[Tenant]) -> RegistryPlan:
        """What `add` would do, with nothing done; raises ConfigError with every problem."""
        have = self._read()
        wanted: dict[str, Tenant] = {}
        problems = []
        for given in tenants:
            if given.tenant in wanted:
                problems.append(_problem(given, "tenant", "stands twice in what is added"))
            old = have.get(given.tenant)
            wanted[given.tenant] = _merged(old[1], given) if old else given
        return self._planned(have, wanted, problems)

    def add(self, tenants: Iterable[Tenant]) -> Changes:
        """Create or change these tenants, all of them or, with ConfigError or StorageError, none.

        What a document does not speak of stays as it was, such as `shared_workflows` and `tags` where a tenant
        comes again in the AWS solution's form.
        """
        return self._carried_out(self.plan(tenants))

    def update(self, tenant_id: str, changes: Mapping[str, Any]) -> Changes:
        """Change fields of a tenant; raises NotFound, ConfigError, StorageError.

        Its file is written anew: comments at its top are kept, others are not, and a note says so.
        """
        have = self._read()
        path, old = self._found(tenant_id)
        document = old.model_dump(mode="json", exclude_defaults=True)
        if "marketplace_id" in changes:
            document.pop("region", None)
        new = parsed(Tenant, document | dict(changes), self._shown(path))
        if new.tenant != tenant_id:
            says = "a tenant keeps its id; add the new one and remove this one"
            raise ConfigError([Problem(self._shown(path), "tenant", says)], hint=_HINT)
        return self._carried_out(self._planned(have, {tenant_id: new}, []))

    def remove(self, tenant_id: str) -> Path:
        """Forget a tenant; the file that is gone. Its data stays. Raises NotFound, StorageError."""
        path, _ = self._found(tenant_id)
        with storage_errors(f"remove {path.name}"):
            path.unlink()
        return path

    def _read(self) -> dict[str, tuple[Path, Tenant]]:
        found: dict[str, tuple[Path, Tenant]] = {}
        problems: list[Problem] = []
        for path in sorted(p for p in self._folder.glob("*") if p.suffix in (".yaml", ".yml", ".json")):
            shown = self._shown(path)
            try:
                tenant = parsed(Tenant, read_document(path, shown), shown)
            except ConfigError as error:
                problems += error.problems
                continue
            if tenant.tenant in found:
                says = f"'{tenant.tenant}' is defined in another file already"
                problems.append(Problem(shown, "tenant", says))
            found[tenant.tenant] = (path, tenant)
        if problems:
            raise ConfigError(problems, hint=f"mend the files named above; {_HINT}")
        return found

    def _found(self, tenant_id: str) -> tuple[Path, Tenant]:
        have = self._read()
        if tenant_id not in have:
            near = difflib.get_close_matches(tenant_id, have, n=1)
            meant = f" (did you mean '{near[0]}'?)" if near else ""
            raise NotFound(f"no tenant '{tenant_id}'{meant}", hint="`amci tenant list` shows them")
        return have[tenant_id]

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
        problems = [*problems, *(_problem(t, f.field, f.says) for t in touched.values() for f in faults(t))]
        problems += [*self._taken(have, new), *clashes(after, touched, self._home)]
        if problems:
            raise ConfigError(problems, hint=_HINT)
        paths = {name: have[name][0] if name in have else self._path(name) for name in touched}
        notes = [self._lost_comments(paths[name]) for name in changed]
        return RegistryPlan(
            Changes(
                created=tuple(new),
                updated=tuple(changed),
                unchanged=tuple(name for name in wanted if name not in touched),
                notes=(*filter(None, notes), *shared(after, touched)),
            ),
            {paths[name]: _text(tenant, paths[name]) for name, tenant in touched.items()},
        )

    def _taken(self, have: Mapping[str, tuple[Path, Tenant]], new: Mapping[str, Tenant]) -> list[Problem]:
        """A new tenant's file may have been given to another one by hand."""
        owners = {path: name for name, (path, _) in have.items()}
        return [
            _problem(tenant, "tenant", f"this file is tenant {owners[self._path(name)]}'s; rename it first")
            for name, tenant in new.items()
            if self._path(name) in owners
        ]

    def _carried_out(self, plan: RegistryPlan) -> Changes:
        with _all_or_none(plan.files):
            for path, text in plan.files.items():
                write_bytes(path, text.encode())
        return plan.changes

    def _path(self, tenant_id: str) -> Path:
        return self._folder / f"{tenant_id}.yaml"

    def _shown(self, path: Path) -> str:
        return str(path.relative_to(self._home))

    def _lost_comments(self, path: Path) -> str:
        """A note where rewriting the file loses comments; empty where it does not."""
        below = path.read_text(encoding="utf-8-sig").removeprefix(_top_comments(path))
        if not any(line.lstrip().startswith("#") or " #" in line for line in below.splitlines()):
            return ""
        return f"{self._shown(path)} is written anew: comments at its top are kept, those below are not"


@contextmanager
def _all_or_none(paths: Iterable[Path]) -> Iterator[None]:
    """Where the block ends early, put these files back to what they were."""
    before = {path: path.read_bytes() if path.exists() else None for path in paths}
    done = False
    try:
        yield
        done = True
    finally:
        for path, content in before.items() if not done else ():
            if content is None:
                path.unlink(missing_ok=True)
            elif path.read_bytes() != content:
                write_bytes(path, content)


def _merged(old: Tenant, given: Tenant) -> Tenant:
    """The old tenant with what the given one speaks of."""
    said = {name: getattr(given, name) for name in given.model_fields_set}
    return old.model_copy(update=said)


def _problem(tenant: Tenant, field: str, says: str) -> Problem:
    return Problem(f"config/tenants/{tenant.tenant}.yaml", field, says)


def _text(tenant: Tenant, path: Path) -> str:
    """The tenant as a person would write it: in the model's order, without what goes without saying."""
    document = tenant.model_dump(mode="json", exclude_defaults=True)
    if tenant.instance_id:
        document |= {"region": tenant.region}
    document = {name: document[name] for name in Tenant.model_fields if name in document}
    if path.suffix == ".json":
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    body = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100)
    return (_top_comments(path) if path.exists() else "") + body


def _top_comments(path: Path) -> str:
    """The comment and empty lines a file begins with."""
    kept = []
    for line in path.read_text(encoding="utf-8-sig").splitlines(keepends=True):
        if line.strip() and not line.startswith("#"):
            break
        kept.append(line)
    return "".join(kept)
