"""Which names can be seen from where, and what they mean (amc-api 3.5)."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from sqlglot import exp

from amci.amcsql.binder.bound import Cte, FromItem, OutputColumn, ValuesRows
from amci.amcsql.binder.levels import NOTHING, ValueFacts, chosen
from amci.amcsql.findings import Finding, place_of
from amci.amcsql.sources import Source, aliases


@dataclass(frozen=True, slots=True)
class SourceCatalog:
    """The tables that queries may read."""

    sources: Mapping[str, Source]  #: by name in lower case
    schemas: frozenset[str] = frozenset({"sandbox"})  #: a table may be named with one of these

    def find(self, table: exp.Table) -> Source | None:
        """The table that is meant; what an advertiser uploaded goes before AMC's own."""
        if table.db and table.db.lower() not in self.schemas:
            return None
        name = table.name.lower()
        return self.sources.get(name) or self.sources.get(aliases().get(name, ""))


class FindingReport:
    """Collects what is found in one query."""

    def __init__(self, sql: str) -> None:
        self.sql = sql
        self.findings: list[Finding] = []

    def error(self, node: exp.Expr | None, code: str, text: str, hint: str = "") -> None:
        """A reason for AMC to refuse the query."""
        place = place_of(self.sql, node)
        finding = Finding(severity="error", code=code, text=text, place=place, hint=hint)
        if finding not in self.findings:
            self.findings.append(finding)


@dataclass(slots=True)
class Seen:
    """An item of FROM as expressions see it."""

    alias: str
    item: FromItem
    columns: dict[str, OutputColumn]  #: by name in lower case


@dataclass(slots=True)
class NameScope:
    """What expressions of one SELECT can name."""

    named: Mapping[str, Cte]  #: queries of WITH, by name in lower case
    around: NameScope | None = None
    items: list[Seen] = field(default_factory=list)
    #: columns of USING: by name, where they stand in the items
    shared: dict[str, list[tuple[Seen, str]]] = field(default_factory=dict)

    def add(self, item: FromItem) -> Seen:
        """Let an item be seen."""
        columns: dict[str, OutputColumn] = {}
        for output in item.relation.outputs:
            columns.setdefault(output.name.lower(), output)
        seen = Seen(item.alias.lower(), item, columns)
        self.items.append(seen)
        return seen

    def by_alias(self, alias: str) -> Seen | None:
        """The item called so, here or around."""
        item = next((seen for seen in self.items if seen.alias == alias.lower()), None)
        return item or (self.around.by_alias(alias) if self.around else None)

    def resolve(self, column: exp.Column, report: FindingReport) -> ValueFacts:
        """What a column is; from now on the node says which item's it is. NOTHING if there is none."""
        resolved = self._found(column, report)
        if resolved is None:
            return NOTHING
        seen, output = resolved
        _point(column, seen, output)
        return output.facts

    def learn(self, seen: Seen, name: str, facts: ValueFacts) -> None:
        """Record what a join tells about a column."""
        seen.columns[name] = replace(seen.columns[name], facts=facts)

    def _found(self, column: exp.Column, report: FindingReport) -> tuple[Seen, OutputColumn] | None:
        name = column.name.lower()
        if column.table:
            seen = self.by_alias(column.table)
            if seen is None:
                hint = near(column.table, (each.item.alias for each in self._all()))
                report.error(column.args["table"], "unknown-table", f"Table '{column.table}' not found", hint)
            elif name not in seen.columns:
                self._unknown(
                    column, [seen], f"Column '{column.name}' not found in table '{column.table}'", report
                )
            return (seen, seen.columns[name]) if seen and name in seen.columns else None
        return self._plain(column, name, report)

    def _plain(
        self, column: exp.Column, name: str, report: FindingReport
    ) -> tuple[Seen, OutputColumn] | None:
        having = [seen for seen in self.items if name in seen.columns]
        if len(having) > 1 and name not in self.shared:
            names = " and ".join(f"{seen.item.alias}.{column.name}" for seen in having[:2])
            text = f"Column '{column.name}' is ambiguous"
            report.error(column, "ambiguous-column", text, f"say {names}, whichever is meant")
        if having:
            return having[0], having[0].columns[name]
        around = self.around
        while around is not None:
            if outer := next((seen for seen in around.items if name in seen.columns), None):
                return outer, outer.columns[name]
            around = around.around
        self._unknown(column, list(self._all()), f"Column '{column.name}' not found in any table", report)
        return None

    def _unknown(self, column: exp.Column, among: list[Seen], text: str, report: FindingReport) -> None:
        if any(
            isinstance(seen.item.relation, ValuesRows) and seen.item.relation.is_unknown for seen in among
        ):
            # the unknown table has been reported already
            return
        names = dict.fromkeys(output.name for seen in among for output in seen.columns.values())
        report.error(column.this, "unknown-column", text, near(column.name, names))

    def _all(self) -> Iterator[Seen]:
        scope: NameScope | None = self
        while scope is not None:
            yield from scope.items
            scope = scope.around


def shared_column(scope: NameScope, column: exp.Column) -> tuple[exp.Expr, ValueFacts] | None:
    """A column of USING: the first that is not NULL of those that were joined; None for any other column."""
    places = scope.shared.get(column.name.lower())
    if column.table or not places:
        return None
    parts = []
    for seen, name in places:
        part = exp.column(exp.to_identifier(name))
        part.this.meta.update(column.this.meta)
        _point(part, seen, seen.columns[name])
        parts.append((part, seen.columns[name].facts))
    made = exp.Coalesce(this=parts[0][0], expressions=[part for part, _ in parts[1:]])
    return made, chosen((facts for _, facts in parts), is_first=True)


def unknown_object(
    table: exp.Table, catalog: SourceCatalog, named: Iterable[str], report: FindingReport
) -> None:
    """Report an unknown table."""
    tables = [*named, *catalog.sources]
    report.error(table.this, "unknown-object", f"Object '{table.name}' not found", near(table.name, tables))


def _point(column: exp.Column, seen: Seen, output: OutputColumn) -> None:
    column.this.set("this", output.name)
    column.this.set("quoted", True)
    column.set("table", exp.to_identifier(seen.item.alias, quoted=True))
    column.set("db", None)
    column.meta["family"] = output.facts.family


def near(name: str, names: Iterable[str]) -> str:
    """The hint `did you mean …?` for a name that is close to a known one; else empty."""
    by_lower = {each.lower(): each for each in names}
    near = difflib.get_close_matches(name.lower(), list(by_lower), n=1)
    return f"did you mean {by_lower[near[0]]}?" if near else ""
