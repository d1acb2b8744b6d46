"""Writes a bound query as plain DuckDB SQL, without privacy rules."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlglot import exp

from amci.amcsql.ast_copy import copied, inside
from amci.amcsql.binder.bound import (
    Cte,
    CteRef,
    FromItem,
    InnerQuery,
    QueryExpression,
    Relation,
    Scan,
    Select,
    Union,
    ValuesRows,
)
from amci.amcsql.binder.expressions import NUMBERS, family_of
from amci.amcsql.binder.parameters import WindowEdge
from amci.amcsql.binder.shapes import cells_of
from amci.amcsql.binder.user_identity import simply_counted
from amci.amcsql.functions.calls import type_of
from amci.amcsql.functions.to_duckdb import to_duckdb
from amci.kernel.names import literal, quoted

#: DuckDB schema of AMC's tables; a query of WITH may have the name of one of them.
SCHEMA = "amc"
#: Columns beside AMC's: the number of the known user, 0 if unknown; and a number by which
#: instances see parts of the people.
USER, PART = "amci user", "amci part"
#: An instance sees two people of three. The first is a prime.
_SIDES, _SEEN = 1009, 673
_PARTS = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryScope:
    """Which rows a query may see, and when it is asked."""

    start: datetime  #: of the time window, aware
    end: datetime  #: exclusive
    now: datetime
    instance_id: str = ""  #: the people of one instance; empty sees all


#: Expressions that were written already, by id; they are kept, so that no other gets the same.
Written = dict[int, tuple[exp.Expr, str]]


class DuckDBWriter:
    """Writes expressions, relations and queries."""

    def __init__(self, scope: QueryScope, written: Written | None = None) -> None:
        self._scope = scope
        self._written: Written = {} if written is None else written

    def expression(self, node: exp.Expr) -> str:
        """An expression."""
        if id(node) not in self._written:
            self._written[id(node)] = (node, self._expression(node))
        return self._written[id(node)][1]

    def _expression(self, node: exp.Expr) -> str:
        holder = exp.Paren(this=copied(node))
        for each in list(holder.find_all(exp.In, exp.Exists, WindowEdge)):
            if isinstance(each, WindowEdge):
                at = self._scope.start if each.is_start else self._scope.end
                each.replace(exp.Literal.string(_utc(at)))
            else:
                self._inner(each)
        changed = to_duckdb(holder, self._scope.now, family_of)
        return inside(changed).sql(dialect="duckdb")

    def query(self, query: QueryExpression) -> str:
        """A query without those of its WITH."""
        if isinstance(query, ValuesRows):
            return f"SELECT * FROM {self._values(query, 'v')}"
        if isinstance(query, Union):
            return self._union(query)
        return self.block(query)

    def block(self, block: Select, more: Iterable[str] = (), source: str | None = None) -> str:
        """One SELECT, with more columns, and from another FROM and WHERE than its own."""
        columns = [self.output(name, simply_counted(block, value)) for name, value in values(block)]
        distinct = "DISTINCT " if block.is_distinct else ""
        parts = [f"SELECT {distinct}{', '.join([*columns, *more])}", source or self.source(block)]
        if block.keys:
            parts.append(f"GROUP BY {', '.join(self.keys(block))}")
        if block.having is not None:
            parts.append(f"HAVING {self.expression(block.having)}")
        if windows := self.windows(block):
            parts.append(windows)
        return "\n".join(part for part in parts if part)

    def windows(self, block: Select) -> str:
        """WINDOW."""
        listed = [self._window(window) for window in block.windows]
        return f"WINDOW {', '.join(listed)}" if listed else ""

    def output(self, name: str, value: exp.Expr) -> str:
        """A column of a SELECT."""
        return f"{self.expression(value)} AS {quoted(name)}"

    def keys(self, block: Select) -> list[str]:
        """What a SELECT groups by."""
        return [self.key(key) for key in block.keys]

    def key(self, node: exp.Expr) -> str:
        """An expression of GROUP BY; a number alone would be an ordinal."""
        text = self.expression(node)
        return f"({text} + 0)" if isinstance(node, exp.Literal) and not node.is_string else text

    def source(self, block: Select, more: Sequence[str] = ()) -> str:
        """FROM and WHERE of a SELECT; `more` are further joins."""
        joined = [self._joined(item, self.relation(item.relation, item.alias)) for item in block.items]
        where = f"WHERE {self.expression(block.where)}" if block.where is not None else ""
        return "\n".join(
            part for part in (" ".join(["FROM", *joined, *more]) if joined else "", where) if part
        )

    def relation(self, relation: Relation, alias: str) -> str:
        """Something in FROM."""
        if isinstance(relation, Scan):
            return f"({self.scan(relation)}) AS {quoted(alias)}"
        if isinstance(relation, CteRef):
            return f"{quoted(relation.of.name)} AS {quoted(alias)}"
        if isinstance(relation, ValuesRows):
            return self._values(relation, alias)
        return f"({self.query(relation)}) AS {quoted(alias)}"

    def scan(self, scan: Scan, more: str = "") -> str:
        """The rows of a table within the time window and of the people of the instance."""
        conditions = [*self._within(scan), *self._seen(scan)]
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        rows = f"({scan.source.reads})" if scan.source.reads else f"{SCHEMA}.{quoted(scan.source.name)}"
        return f"SELECT *{more} FROM {rows}{where}"

    def named(self, named: Cte) -> str:
        """One query of WITH."""
        return f"{quoted(named.name)} AS (\n{self.query(named.query)}\n)"

    def _within(self, scan: Scan) -> list[str]:
        if not scan.source.event_time:
            return []
        column = scan.source.by_name[scan.source.event_time.lower()]
        start, end = (
            _moment(at, is_date=column.type == "DATE")
            for at in (self._scope.start - scan.before, self._scope.end + scan.after)
        )
        at = quoted(column.name)
        return [f"{at} >= {start}", f"{at} < {end}"]

    def _seen(self, scan: Scan) -> list[str]:
        if not (self._scope.instance_id and scan.source.has_users) or scan.source.is_uploaded:
            return []
        digest = hashlib.sha256(self._scope.instance_id.encode()).digest()
        salt = int.from_bytes(digest[:7]) % _PARTS
        return [f"xor({quoted(PART)}, {salt}) % {_SIDES} < {_SEEN}"]

    def _values(self, rows: ValuesRows, alias: str) -> str:
        if not rows.tuples:
            return f"(SELECT 1 WHERE false) AS {quoted(alias)}"
        lines = ", ".join(
            f"({', '.join(self.expression(cell) for cell in cells_of(row))})" for row in rows.tuples
        )
        names = ", ".join(quoted(output.name) for output in rows.outputs)
        return f"(VALUES {lines}) AS {quoted(alias)}({names})"

    def _union(self, union: Union) -> str:
        word = "UNION ALL" if union.is_all else "UNION"
        arms = f"({self.query(union.left)})\n{word}\n({self.query(union.right)})"
        own = [output.name for output in union.outputs]
        if own == [output.name for output in first(union).outputs]:
            return arms
        names = ", ".join(map(quoted, own))
        return f"SELECT * FROM ({arms}) AS u({names})"

    def _joined(self, item: FromItem, text: str) -> str:
        if not item.kind:
            return text
        on = f" ON {self.expression(item.on)}" if item.on is not None else ""
        return f"\n{item.kind} JOIN {text}{on}"

    def _window(self, window: exp.Expr) -> str:
        name = window.this.name
        body = exp.Window(
            this=exp.RowNumber(),
            **{key: value for key, value in copied(window).args.items() if key != "this"},
        )
        return f"{quoted(name)} AS {self.expression(body).partition(' OVER ')[2]}"

    def _inner(self, node: exp.Expr) -> None:
        """Put a query within an expression into its place."""
        name = "this" if isinstance(node, exp.Exists) else "query"
        inner = node.args.get(name)
        if not isinstance(inner, InnerQuery):
            return
        text = self.query(inner.query)
        if isinstance(node, exp.Exists):
            node.replace(exp.Var(this=f"EXISTS ({text})"))
            return
        left, right = type_of(node.this, family_of), inner.query.outputs[0].facts.family
        tested, column = self.expression(node.this), quoted(inner.query.outputs[0].name)
        if left == "STRING" and right in NUMBERS:
            tested = f"TRY_CAST({tested} AS DOUBLE)"
        elif right == "STRING" and left in NUMBERS:
            text = f"SELECT TRY_CAST({column} AS DOUBLE) FROM ({text})"
        node.replace(exp.Var(this=f"({tested} IN ({text}))"))


def values(block: Select) -> list[tuple[str, exp.Expr]]:
    """The output columns of a SELECT: name and expression."""
    return [(output.name, output.value) for output in block.outputs if output.value is not None]


def first(query: QueryExpression) -> QueryExpression:
    """The first SELECT of a set operation; it gives the names."""
    return first(query.left) if isinstance(query, Union) else query


def _moment(at: datetime, *, is_date: bool) -> str:
    """A moment as AMC's `_utc` columns are: without saying that it is UTC."""
    if is_date:
        return f"DATE {literal(at.astimezone(UTC).date().isoformat())}"
    return f"TIMESTAMP {literal(_utc(at))}"


def _utc(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}"
