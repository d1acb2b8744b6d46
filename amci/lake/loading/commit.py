"""The commit: rows of a batch of objects go into the lake's tables, and their older rows out, in one transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from amci.kernel.clock import Clock
from amci.kernel.runs import RunStore
from amci.lake.catalog.catalog import Catalog
from amci.lake.catalog.headers import TableHeaders
from amci.lake.catalog.kinds import Kind
from amci.lake.catalog.ledger import LedgerEntry
from amci.lake.catalog.schema import SchemaPlan, holds
from amci.lake.catalog.tables import TableHome, TableName, WrittenFile
from amci.lake.landing import sidecar
from amci.lake.landing.duplicates import DuplicateStore
from amci.lake.loading.loads import Load, LoadItem, Places, TableLoads, want
from amci.lake.loading.retyping import Retyping


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """Puts loads into the lake's tables, and the ledger beside them."""

    catalog: Catalog
    retyping: Retyping
    runs: RunStore
    duplicates: DuplicateStore
    appended: Collection[str]  #: datasets that keep the rows of older versions
    clock: Clock

    def commit(
        self,
        items: Sequence[LoadItem],
        loads: TableLoads,
        places: Places,
        ledger: Mapping[int, Sequence[LedgerEntry]],
        *,
        is_certain: bool = False,
    ) -> TableLoads:
        """One transaction: older rows out, new rows in, the ledger beside them.

        If `is_certain`, all rows are asked whether they fit the types of their table; else DuckDB raises for one that
        does not.
        """
        outdated = self._without_stood_by(
            {item: _outdated(item, ledger.get(item.object_id, [])) for item in items}
        )
        entries = [
            ledger_entry(item, name, rows, self.clock.now())
            for item in items
            for name, rows in loads.of(item)
        ]
        if not entries and not any(outdated.values()):
            return loads
        with (
            self._written(loads, is_certain=is_certain) as written,
            self.catalog.exclusive("load into the lake"),
            self.catalog.transaction(),
        ):
            # Planned while the older rows are there still: types must not depend on how many files share a batch.
            plans = {
                name: self._plan(name, parts, is_certain=is_certain) for name, parts in loads.tables.items()
            }
            headers = {name: places.settled(name) for name in loads.tables}
            for name, parts in loads.tables.items():
                if new := _renamed(headers[name], self.catalog.headers(name)):
                    loads.renamed.setdefault(min(parts[0].members), {})[str(name)] = new
            gone = [entry for entries in outdated.values() for entry in entries]
            self.take_out(gone)
            for name in {entry.name for entry in gone} & loads.tables.keys():
                plans[name] = self.retyping.narrowed(name, plans[name], loads.tables[name], items, gone)
            for name, parts in loads.tables.items():
                if plans[name].makes_text:
                    self.retyping.load_again(name, items)
                self.catalog.apply(name, plans[name], parts[0].partition_by, headers[name])
                self._insert(name, parts, written)
            self.catalog.ledger.enter(entries)
            # After a power cut the state must know all that the commit is about, or it would give the ids again.
            self.runs.state.sync()
            self.catalog.note_run(self.runs.newest())
        return loads

    def _without_stood_by(
        self, outdated: dict[LoadItem, list[LedgerEntry]]
    ) -> dict[LoadItem, list[LedgerEntry]]:
        """What is to leave the lake now. Rows that a duplicate will bring leave as it does, so none is ever missing."""
        gone = {
            (entry.object_id, entry.version)
            for item, entries in outdated.items()
            for entry in entries
            if (entry.object_id, entry.version) != (item.object_id, item.version)
        }
        stay = self.duplicates.stood_by(gone, self.appended)
        if not stay:
            return outdated
        return {
            item: [entry for entry in entries if (entry.object_id, entry.version) not in stay]
            for item, entries in outdated.items()
        }

    def _plan(self, name: TableName, parts: Sequence[Load], *, is_certain: bool) -> SchemaPlan:
        wanted = want(parts)
        if not all(part.may_evolve for part in parts):
            wanted |= self._as_frozen(name, parts, wanted)
        changes = self._changes(name, parts, wanted)
        if is_certain:
            columns = self.catalog.foresee(name, changes, parts[0].partition_by).columns
            unfit = {c for part in parts for c in part.source.unfit(self.catalog.con, columns)}
            changes = self._changes(name, parts, wanted | dict.fromkeys(unfit, Kind.VARCHAR.sql))
        return changes

    def _as_frozen(
        self, name: TableName, parts: Sequence[Load], wanted: Mapping[str, str]
    ) -> Mapping[str, str]:
        """The types that a frozen table has for columns that would be of another type, but have values of this one."""
        have = self.catalog.columns(name)
        types = {
            c: have[c]
            for c, t in wanted.items()
            if c in have and have[c] == Kind.of_sql(have[c]).sql and not holds(have[c], t)
        }
        for part in parts:
            types = part.source.fitting(self.catalog.con, types) if types else types
        return types

    def _changes(self, name: TableName, parts: Sequence[Load], wanted: Mapping[str, str]) -> SchemaPlan:
        return self.catalog.plan(
            name,
            wanted,
            may_evolve=all(p.may_evolve for p in parts),
            max_columns=min(p.max_columns for p in parts),
        )

    @contextmanager
    def _written(self, loads: TableLoads, *, is_certain: bool) -> Iterator[dict[Load, list[WrittenFile]]]:
        """Files with the rows of large loads, written while other threads may commit; deleted if none takes them."""
        written: dict[Load, list[WrittenFile]] = {}
        try:
            for name, parts in loads.tables.items():
                if any(part.own_file is not None or part.typed for part in parts):
                    with self.catalog.exclusive("plan a load"):
                        changes = self._plan(name, parts, is_certain=is_certain)
                        home = self.catalog.foresee(name, changes, parts[0].partition_by)
                    for part in parts:
                        if _is_typed(part, home):
                            written[part] = self._typed(part, home)
                        elif _fits(part, home):
                            written[part] = [self._write(part, home)]
            yield written
        finally:
            for files in written.values():
                _delete(files)

    def _typed(self, part: Load, home: TableHome) -> list[WrittenFile]:
        """The files that were written while the rows were read, at their place in post-stage."""
        typed = part.typed
        pairs = zip(typed.paths, typed.files, strict=True) if typed else ()
        return [self.catalog.take_file(path, home, file.partition) for path, file in pairs]

    def _write(self, part: Load, home: TableHome) -> WrittenFile:
        return self.catalog.write_file(part.source.select(home.columns), home, part.own_file or {})

    def _insert(self, name: TableName, parts: Sequence[Load], written: dict[Load, list[WrittenFile]]) -> None:
        home = self.catalog.home(name)
        for part in parts:
            files = written.get(part, [])
            if any(file.home != home for file in files):
                # Another load has changed the table meanwhile, or this one rewrites it.
                _delete(files)
                files = []
            if not files and _fits(part, home):
                files = written[part] = [self._write(part, home)]
            if not files:
                self.catalog.insert(name, part.source.select(home.columns))
            for file in files:
                self.catalog.add_file(name, file)
            # From here on the transaction decides whether the files stay.
            written.pop(part, None)

    def take_out(self, gone: Sequence[LedgerEntry]) -> None:
        """Take the rows of these entries out of their tables, and the entries out of the ledger."""
        tables: dict[TableName, set[tuple[int, int]]] = {}
        for entry in gone:
            tables.setdefault(entry.name, set()).add((entry.object_id, entry.version))
        for name, versions in tables.items():
            if self.catalog.columns(name):
                self.catalog.delete(name, versions)
        if gone:
            self.catalog.forget({(e.object_id, e.version) for e in gone})


def ledger_entry(item: LoadItem, name: TableName, rows: int, loaded_at: datetime) -> dict[str, Any]:
    """The ledger's row for an object version that has rows in a table."""
    obj, staged = item.routed.obj, item.staged
    return {
        "object_id": item.object_id,
        "version": item.version,
        "root": obj.root,
        "key": obj.key,
        "tenant_id": item.run.tenant_id,
        "dataset": obj.dataset.dataset,
        "schema_name": name.schema,
        "table_name": name.table,
        "run_id": item.run.run_id,
        "rows": rows,
        "bytes": obj.size,
        "sha256": staged.sha256,
        "modified_at": _naive(obj.modified_at),
        "loaded_at": _naive(loaded_at),
        "workflow_id": staged.workflow_id,
        "schedule": staged.schedule,
        "export_time": _naive(staged.export_time) if staged.export_time else None,
        "rules_hash": item.rules_hash,
        **{name: staged.origin.get(name) for name in sidecar.TEXTS},
        **{name: _naive(at) for name, at in sidecar.moments(staged.origin).items()},
    }


def _is_typed(part: Load, home: TableHome) -> bool:
    """Whether there are files with the rows of a load, cast as it would cast them."""
    typed = part.typed
    return typed is not None and typed.cast_hash == part.source.cast_hash(home) and typed.are_intact


def _delete(files: Sequence[WrittenFile]) -> None:
    for file in files:
        file.path.unlink(missing_ok=True)


def _fits(part: Load, home: TableHome) -> bool:
    """Whether rows get a file of their own. A table keeps its partitions where a file has none any more."""
    return part.own_file is not None and tuple(part.own_file) == home.partition_by


def _outdated(item: LoadItem, ledger: Sequence[LedgerEntry]) -> list[LedgerEntry]:
    """What of this object has to leave the lake as this run's rows come in."""
    if item.dataset.on_new_version == "append":
        return [e for e in ledger if e.version == item.version or e.object_id != item.object_id]
    return list(ledger)


def _renamed(now: TableHeaders, before: TableHeaders) -> dict[str, str]:
    """The new columns whose headers say more than their names do, each with its header."""
    if now is before:
        return {}
    return {column: header for column, header in now.renamed() if column not in before.known}


def _naive(at: datetime) -> datetime:
    """UTC without zone, as the lake's TIMESTAMP columns hold it."""
    return at.astimezone(UTC).replace(tzinfo=None)
