"""What becomes of rows that are in a table when one of its columns becomes text, or is text no longer."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from amci.kernel.names import quoted
from amci.kernel.runs import RunStore
from amci.lake.catalog.casts import fits_sql
from amci.lake.catalog.catalog import Catalog
from amci.lake.catalog.inference import ALL, Clues, infer, mixed_dates
from amci.lake.catalog.kinds import TIMES, ColumnKind, Kind, join
from amci.lake.catalog.ledger import LedgerEntry
from amci.lake.catalog.schema import SchemaPlan
from amci.lake.catalog.tables import TableName
from amci.lake.datasets.objects import RESERVED
from amci.lake.landing.object_store import ObjectStore
from amci.lake.loading.loads import Load, LoadItem, want
from amci.lake.loading.staged_object import StagedObject, StagedTable, heavy_run, retyping


@dataclass(frozen=True, slots=True, kw_only=True)
class Retyping:
    """Keeps the columns of tables what all of their rows make them, whatever came first."""

    catalog: Catalog
    objects: ObjectStore
    runs: RunStore

    def load_again(self, name: TableName, but: Sequence[LoadItem]) -> None:
        """Queue the other objects of a table again, because a column of theirs becomes text.

        The table knows their values but not how they were spelled (`4` or `4.0`, `TRUE` or `true`); pre-stage
        does. Without this, what a table holds would depend on which files happened to share a batch. The runs
        exist before the commit does: should this process die in between, they load what is there already.
        """
        again = retyping(but[0].run)
        done = {(item.object_id, item.version) for item in but}
        others = {(e.object_id, e.version): e for e in self.catalog.ledger.loaded_into(name)}
        known = self.objects.for_versions([pair for pair in others if pair not in done])
        new = []
        for pair, row in known.items():
            earlier = self.runs.get(others[pair].run_id)
            if not earlier.payload["tables"]:
                # Entered by a recovery: what was staged is not known, and a run of nothing would take the rows out.
                continue
            staged = replace(StagedObject.from_payload(earlier.payload), again=again)
            new.append(heavy_run(row["root"], row["key"], earlier, staged))
        self.runs.create(new)

    def narrowed(
        self,
        name: TableName,
        plan: SchemaPlan,
        parts: Sequence[Load],
        items: Sequence[LoadItem],
        gone: Sequence[LedgerEntry],
    ) -> SchemaPlan:
        """The plan, and what is text in the table no longer because the rows that made it so were taken out.

        Rows that are left have to be the text of such values. Strings of a JSON file do not become numbers, unless a
        type is declared.
        """
        have, wanted, clues = self.catalog.columns(name), want(parts), parts[0].source.clues
        columns = {c: Kind.of_sql(t) for c, t in wanted.items() if have.get(c) == Kind.VARCHAR.sql != t}
        columns = {c: kind for c, kind in columns.items() if wanted[c] == kind.sql}
        if not columns or not all(part.may_evolve for part in parts):
            return plan
        but = {e.object_id for e in gone}
        columns = self._alike(name, parts, items, but, columns)
        if not columns:
            return plan
        clues = replace(clues, stated=self._stated(name, but, columns) if clues.stated else {})
        left = infer(self.catalog.con, name.sql, list(columns), clues)
        left |= dict.fromkeys(mixed_dates(self.catalog.con, name.sql, left, clues), Kind.VARCHAR)
        kinds = {c: join(kind, left[c]) for c, kind in columns.items()}
        narrow = {c: kind for c, kind in kinds.items() if kind is not Kind.VARCHAR}
        if not narrow:
            return plan
        # A type that holds both may not hold every value: 2^53 + 1 is no DOUBLE.
        fits = [f"bool_and({fits_sql(kind, quoted(c), clues.how(c))})" for c, kind in narrow.items()]
        row = self.catalog.con.execute(f"SELECT {', '.join(fits)} FROM {name.sql}").fetchall()[0]
        narrow = {c: kind for (c, kind), fit in zip(narrow.items(), row, strict=True) if fit is not False}
        target = {**have, **wanted, **{c: kind.sql for c, kind in narrow.items()}}
        kept = self._strings(name, but, narrow, clues) | {
            c for part in parts for c in part.source.unfit(self.catalog.con, target)
        }
        rewrite = {**plan.rewrite, **{c: k.sql for c, k in narrow.items() if c not in kept}}
        return replace(plan, rewrite=rewrite, clues=clues)

    def _alike(
        self,
        name: TableName,
        parts: Sequence[Load],
        items: Sequence[LoadItem],
        but: Collection[int],
        columns: Mapping[str, ColumnKind],
    ) -> dict[str, ColumnKind]:
        """Those of `columns` whose text means the same in all rows.

        1.234 may be 1234 in a file of text, and 1.234 in one of JSON; 20261101 is a day there, and a number here.
        """
        spelling = parts[0].source.clues.spelling
        if not (spelling.is_of_people or spelling.has_dates_of_digits):
            return dict(columns)
        loading = {object_id for part in parts for object_id in part.members}
        rules = {item.rules_hash for item in items if item.object_id in loading}
        if spelling.is_of_people and not self.catalog.ledger.rules_of(name, but) <= rules:
            return {}
        several = [part.source.clues for part in parts]
        for _, table, placed in self._tables(name, but):
            if table.values is None:  # an earlier release staged it
                return {}
            several.append(
                Clues(
                    quoted={placed[c] for c in table.quoted},
                    mixed={placed[c] for c in table.mixed},
                    values={placed.get(c, c) for c in table.values},
                )
            )
        return {
            c: kind for c, kind in columns.items() if len({clues.written_as(c) for clues in several}) == 1
        }

    def _stated(self, name: TableName, but: Collection[int], columns: Collection[str]) -> dict[str, str]:
        """The types of these columns that the files of all other objects state alike."""
        found: dict[str, set[str]] = {column: set() for column in columns}
        for _, table, placed in self._tables(name, but):
            stated = {placed[own]: sql_type for own, sql_type in table.types.items()}
            for column, types in found.items():
                types.add(stated.get(column, ""))
        return {column: types.pop() for column, types in found.items() if len(types) == 1 and "" not in types}

    def _strings(
        self, name: TableName, but: Collection[int], kinds: Mapping[str, ColumnKind], clues: Clues
    ) -> set[str]:
        """The columns that stay text, as they are text in a file of another object, whatever they hold."""
        found: set[str] = set()
        for staged, table, placed in self._tables(name, but):
            found.update(staged.types)
            found.update(c for own in table.quoted if kinds.get(c := placed[own]) not in TIMES)
        return {c for c in found if clues.declared_kind(c) is None}

    def _tables(
        self, name: TableName, but: Collection[int]
    ) -> Iterator[tuple[StagedObject, StagedTable, Mapping[str, str]]]:
        """What was staged of the other objects of a table, and its columns for those with a type of their own."""
        columns, headers = self.catalog.columns(name), self.catalog.headers(name)
        place = partial(headers.placed, columns=columns, own=RESERVED)
        for entry in self.catalog.ledger.loaded_into(name):
            if entry.object_id in but:
                continue
            staged = StagedObject.from_payload(self.runs.get(entry.run_id).payload)
            for table in staged.tables:
                if table.table == name.table:
                    file = table.columns({*table.quoted, *table.types, *(table.values or ())} - {ALL})
                    yield staged, table, table.placed(file, place)
