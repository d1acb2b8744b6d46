"""Resolves the names of a query: its tables, its columns, and what is known of each (amc-api 3.5)."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

from sqlglot import exp

from amci.amcsql.ast_copy import copied
from amci.amcsql.binder.bound import (
    Bound,
    Cte,
    CteRef,
    FromItem,
    OutputColumn,
    QueryExpression,
    Relation,
    Scan,
    Select,
    Union,
    ValuesRows,
    paths_of,
)
from amci.amcsql.binder.expressions import Reader
from amci.amcsql.binder.grouping import check_grouping, group_keys, with_aliases, with_windows_beneath
from amci.amcsql.binder.joins import Joined
from amci.amcsql.binder.levels import moved, united
from amci.amcsql.binder.scopes import FindingReport, NameScope, SourceCatalog, unknown_object
from amci.amcsql.binder.shapes import (
    cells_of,
    columns_of,
    ctes_of,
    dimensions,
    join_kind,
    renamed,
    star_of,
    unlike,
)
from amci.amcsql.findings import CompileError
from amci.amcsql.sources import Source

#: Reads of tables in one query; each has privacy rules of its own. A few lines of WITH could stand for billions.
_MOST_PATHS = 1000
_DURATION = re.compile(
    r"P(?:(?P<years>\d+)Y)?(?:(?P<months>\d+)M)?(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
    r"(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+)S)?)?"
)


def duration(text: str) -> timedelta | None:
    """The duration of an ISO 8601 text, or None; a month counts 30 days, a year 365."""
    match = _DURATION.fullmatch(text)
    if not match or not any(match.groupdict().values()):
        return None
    given = {unit: int(count or 0) for unit, count in match.groupdict().items()}
    days = given["years"] * 365 + given["months"] * 30 + given["weeks"] * 7 + given["days"]
    return timedelta(days=days, hours=given["hours"], minutes=given["minutes"], seconds=given["seconds"])


_EXTEND_ARGUMENTS = 3


def bound(tree: exp.Query, catalog: SourceCatalog, report: FindingReport) -> Bound:
    """The query with all its names resolved; the tree is changed, mistakes go to the report."""
    binder = _Binder(catalog, report)
    query = binder.query(tree, NameScope(named={}))
    return Bound(query=query, named=binder.named, sources=binder.sources)


class _Binder:
    """Binds one query."""

    def __init__(self, catalog: SourceCatalog, report: FindingReport) -> None:
        self._catalog, self._report = catalog, report
        self.named: list[Cte] = []
        self.sources: list[Source] = []  #: by path
        self._derived = 0

    def query(self, node: exp.Expr, around: NameScope) -> QueryExpression:
        """A SELECT, set operation or VALUES, with the queries of its own WITH."""
        named = dict(around.named)
        for cte in ctes_of(node):
            self._name(cte, NameScope(named=named, around=around.around), named)
        inside = NameScope(named=named, around=around.around)
        if isinstance(node, exp.Subquery):
            return self.query(node.this, inside)
        if isinstance(node, exp.SetOperation):
            return self._union(node, inside)
        if isinstance(node, exp.Values):
            return self._values(node)
        return self._block(node, inside)

    def _name(self, cte: exp.Expr, scope: NameScope, named: dict[str, Cte]) -> None:
        name = cte.alias
        before = cte.parent.expressions[: cte.index or 0] if cte.parent is not None else ()
        if name.lower() in {each.alias.lower() for each in before}:
            text = f"'{name}' stands twice in WITH"
            self._report.error(cte.args["alias"], "duplicate-name", text, "give one of them another name")
        query = renamed(self.query(cte.this, scope), cte, self._report)
        made = Cte(name=f"{len(self.named)} {name}", query=query)
        self.named.append(made)
        named[name.lower()] = made

    def _union(self, node: exp.Expr, scope: NameScope) -> Union:
        left, right = self.query(node.this, scope), self.query(node.expression, scope)
        if len(left.outputs) != len(right.outputs):
            text = f"Column count mismatch in UNION: {len(left.outputs)} and {len(right.outputs)}"
            self._report.error(node.expression, "union-columns", text, "give both sides the same columns")
        outputs = [
            OutputColumn(one.name, united(one.facts, other.facts))
            for one, other in zip(left.outputs, right.outputs, strict=False)
        ]
        is_all = not node.args.get("distinct")
        made = Union(left=left, right=right, is_all=is_all, outputs=outputs)
        if not is_all:
            for output in outputs:
                Reader(scope, self._report, self.query).grouped(node, output.facts, "united")
        return made

    def _values(self, node: exp.Expr) -> ValuesRows:
        reader = Reader(NameScope(named={}), self._report, self.query)
        rows = [[reader.value(cell) for cell in cells_of(row)] for row in node.expressions]
        width = len(rows[0]) if rows else 0
        if any(len(row) != width for row in rows):
            self._report.error(
                node, "values", "VALUES clause has rows of different length", "give each row the same columns"
            )
            rows = [row for row in rows if len(row) == width]
        outputs = []
        for place, column in enumerate(zip(*rows, strict=True)):
            facts = column[0]
            for other in column[1:]:
                facts = united(facts, other)
            outputs.append(OutputColumn(f"EXPR${place}", facts))
        return ValuesRows(tuples=list(node.expressions), outputs=outputs)

    def _block(self, node: exp.Expr, scope: NameScope) -> Select:
        if not isinstance(node, exp.Select):
            self._report.error(
                node, "statement", "exactly one SELECT statement is required", "begin with SELECT or WITH"
            )
            return Select(outputs=())
        reader = Reader(scope, self._report, self.query)
        joined = self._joined(node, scope, reader)
        where = node.args.get("where")
        if where is not None:
            reader.read(where.this)
            joined.filtered(where.this)
            if reader.has_aggregate:
                text = "Aggregate expression is illegal in WHERE clause"
                self._report.error(where, "aggregate-in-where", text, "use HAVING")
            reader.has_aggregate = False
        outputs = self._outputs(node, scope, reader)
        key_nodes, keys = group_keys(node, outputs, reader, self._report)
        having = node.args.get("having")
        if having is not None:
            with_aliases(having, outputs, self._report)
            reader.read(having.this)
        for window in node.args.get("windows") or ():
            reader.read(window)
        is_distinct = node.args.get("distinct") is not None
        is_grouped = bool(key_nodes) or reader.has_aggregate or having is not None
        for key, facts in zip(key_nodes, keys, strict=True):
            reader.grouped(key, facts, "grouped")
        if is_distinct:
            for output in outputs:
                reader.grouped(output.value or node, output.facts, "made distinct")
        block = Select(
            outputs=dimensions(outputs, key_nodes) if is_grouped else outputs,
            items=joined.items,
            where=where.this if where is not None else None,
            keys=key_nodes,
            key_facts=keys,
            having=having.this if having is not None else None,
            windows=node.args.get("windows") or (),
            is_grouped=is_grouped,
            has_aggregate=reader.has_aggregate,
            is_distinct=is_distinct,
            same=joined.same,
            node=node,
        )
        if is_grouped:
            block = with_windows_beneath(block, reader)
            check_grouping(block, self._report)
        return block

    def _joined(self, node: exp.Select, scope: NameScope, reader: Reader) -> Joined:
        joined = Joined(scope, self._report)
        from_ = node.args.get("from_")
        if from_ is None:
            return joined
        joined.add(self._item(from_.this, scope), None, reader)
        for join in [*(from_.this.args.get("joins") or ()), *(node.args.get("joins") or ())]:
            item = self._item(join.this, scope)
            item.kind = join_kind(join)
            joined.add(item, join, reader)
        return joined

    def _item(self, node: exp.Expr, scope: NameScope) -> FromItem:
        alias = node.alias or (node.name if isinstance(node, exp.Table) else "")
        if not alias:
            alias = f"derived {self._derived}"
            self._derived += 1
        relation: Relation
        if isinstance(node, exp.Table):
            relation = self._table(node, scope)
        else:
            inner = node.this if isinstance(node, exp.Subquery) else node
            if isinstance(inner, exp.Table):
                self._report.error(
                    node, "nested-join", "a join in parentheses is not supported", "use a sub-query"
                )
                return self._item(inner, scope)
            query = self.query(inner, NameScope(named=scope.named))
            relation = renamed(query, node, self._report)
        return FromItem(alias=alias, relation=relation)

    def _table(self, table: exp.Table, scope: NameScope) -> Relation:
        if isinstance(table.this, exp.Anonymous):
            return self._extended(table)
        named = scope.named.get(table.name.lower()) if not table.db else None
        if named is not None:
            return self._use(named, table)
        source = self._catalog.find(table)
        if source is None:
            unknown_object(table, self._catalog, scope.named, self._report)
            return ValuesRows(tuples=(), outputs=(), is_unknown=True)
        return self._scan(source, table)

    def _use(self, named: Cte, table: exp.Table) -> CteRef:
        """A read of a query of WITH; from the second on, its paths are others than those of the first."""
        paths = {path: path for path in paths_of(named.query)}
        if named.uses:
            for path in paths:
                paths[path] = self._path_of(self.sources[path], table)
        named.uses += 1
        outputs = [replace(output, facts=moved(output.facts, paths)) for output in named.query.outputs]
        return CteRef(of=named, outputs=outputs, paths=paths)

    def _scan(self, source: Source, table: exp.Table) -> Scan:
        path = self._path_of(source, table)
        return Scan(path=path, source=source, outputs=columns_of(source, path), table=table)

    def _path_of(self, source: Source, table: exp.Table) -> int:
        """A new path; raises CompileError if there are too many, as of queries that read each other twice."""
        if len(self.sources) >= _MOST_PATHS:
            text = f"The query reads its tables more than {_MOST_PATHS:,} times"
            hint = "a query of WITH is read again each time it is named; this limit is amci's, not AMC's"
            self._report.error(table, "too-many-reads", text, hint)
            raise CompileError(*self._report.findings)
        self.sources.append(source)
        return len(self.sources) - 1

    def _extended(self, table: exp.Table) -> Relation:
        """TABLE(EXTEND_TIME_WINDOW('table', 'P14D', 'P1D')): the table over a longer window."""
        call, arguments = table.this, table.this.expressions
        if call.name.upper() != "EXTEND_TIME_WINDOW":
            text = f"No match found for function signature {call.name}"
            self._report.error(call, "table-function", text, "TABLE(…) takes EXTEND_TIME_WINDOW")
            return ValuesRows(tuples=(), outputs=(), is_unknown=True)
        if len(arguments) != _EXTEND_ARGUMENTS or not all(
            isinstance(a, exp.Literal) and a.is_string for a in arguments
        ):
            text = "EXTEND_TIME_WINDOW takes a table and two durations in quotes"
            hint = "such as TABLE(EXTEND_TIME_WINDOW('dsp_impressions', 'P14D', 'P1D'))"
            self._report.error(call, "arguments", text, hint)
            return ValuesRows(tuples=(), outputs=(), is_unknown=True)
        name, before, after = arguments
        source = self._catalog.find(exp.table_(name.name))
        if source is None:
            named = exp.Table(this=exp.to_identifier(name.name))
            named.this.meta.update(name.meta)
            # queries of WITH cannot be extended
            unknown_object(named, self._catalog, (), self._report)
            return ValuesRows(tuples=(), outputs=(), is_unknown=True)
        scan = self._scan(source, table)
        for field, given in (("before", before), ("after", after)):
            length = duration(given.name)
            if length is None:
                text = f"'{given.name}' is not an ISO 8601 duration"
                self._report.error(given, "duration", text, "such as 'P14D' or 'PT12H'")
            else:
                setattr(scan, field, length)
        return scan

    def _outputs(self, node: exp.Select, scope: NameScope, reader: Reader) -> list[OutputColumn]:
        outputs: list[OutputColumn] = []
        for place, projection in enumerate(list(node.expressions)):
            star = star_of(projection)
            if star is not None:
                outputs += self._starred(projection, star, scope)
                continue
            has_name = isinstance(projection, exp.Alias | exp.Column)
            name = projection.alias_or_name if has_name else f"EXPR${place}"
            holder = exp.Paren(this=copied(projection.unalias()))
            facts = reader.value(holder.this)
            outputs.append(OutputColumn(name, facts, holder.this))
        return unlike(outputs)

    def _starred(self, projection: exp.Expr, alias: str, scope: NameScope) -> list[OutputColumn]:
        """`alias.*`, which is for derived tables only (amc-api 3.1)."""
        seen = [each for each in scope.items if not alias or each.alias == alias.lower()]
        if alias and not seen:
            self._report.error(projection, "unknown-table", f"Table '{alias}' not found")
        if any(isinstance(each.item.relation, Scan) for each in seen):
            star = f"{alias}.*" if alias else "SELECT *"
            self._report.error(
                projection, "star", f"{star} is not supported on a data source", "name the columns"
            )
            return []
        outputs = []
        for each in seen:
            for output in each.columns.values():
                column = exp.column(
                    exp.to_identifier(output.name, quoted=True),
                    exp.to_identifier(each.item.alias, quoted=True),
                )
                column.meta["family"] = output.facts.family
                outputs.append(OutputColumn(output.name, output.facts, column))
        return outputs
