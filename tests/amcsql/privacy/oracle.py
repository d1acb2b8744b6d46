"""What queries yield, by brute force: every row knows its users, and every sum each user's part of it."""

from __future__ import annotations

import operator
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

from .data import COLUMNS, LEVELS, Tables, User
from .queries import (
    Agg,
    All,
    Bin,
    Body,
    Case,
    Coalesce,
    Col,
    Expr,
    From,
    InList,
    InQuery,
    IsNull,
    Join,
    Lit,
    Query,
    Rank,
    Select,
)
from .relations import About, Cell, Metric, Relation, Result, Row

ARITHMETIC: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": lambda a, b: Fraction(a) / b if b else None,
}
COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
Look = Callable[[Expr], "tuple[Cell, About] | None"]


def evaluate(query: Query, tables: Tables) -> Result:
    machine = _Machine(dict(query.ctes), tables)
    relation = machine.body(query.body, "")
    return Result(tuple(n for _, n in relation.names), relation.about, relation.rows, tuple(machine.paths))


class _Machine:
    """Each mention of a CTE is evaluated anew: what it reads are paths of their own."""

    def __init__(self, ctes: Mapping[str, Body], tables: Tables) -> None:
        self.ctes = ctes
        self.tables = tables
        self.paths: list[str] = []

    def body(self, body: Body, alias: str) -> Relation:
        if isinstance(body, Select):
            found = self.select(body)
        else:
            found = _united([self.select(arm) for arm in body.arms], is_all=body.is_all)
        return replace(found, names=tuple((alias, name) for _, name in found.names))

    def source(self, source: From) -> Relation:
        if isinstance(source, Join):
            return _joined(source, self.source(source.left), self.source(source.right))
        if not isinstance(source.what, str):
            return self.body(source.what, source.alias)
        if source.what in self.ctes:
            return self.body(self.ctes[source.what], source.alias)
        return self.scan(source.what, source.alias)

    def scan(self, table: str, alias: str) -> Relation:
        columns = COLUMNS[table]
        paths: frozenset[int] = frozenset()
        if columns[0][0] == "user_id":
            paths = frozenset([len(self.paths)])
            self.paths.append(table)
        rows = [
            Row(tuple(Cell(values[c], paths) for c, _, _ in columns), dict.fromkeys(paths, frozenset([user])))
            for user, values in self.tables[table]
        ]
        about = tuple(About(LEVELS.index(level)) for _, _, level in columns)
        return Relation(tuple((alias, name) for name, _, _ in columns), about, rows)

    def select(self, select: Select) -> Relation:
        source = self.source(select.source)
        where = None if select.where is None else self.without_queries(select.where)
        rows = [row for row in source.rows if where is None or _is_true(where, _row_look(source, row))]
        if select.is_aggregated:
            groups = _groups(select.keys, source, rows)
            looks = [(_group_look(select.keys, source, group), _users(group)) for group in groups]
            looks = [each for each in looks if select.having is None or _is_true(select.having, each[0])]
            empty = _group_look(select.keys, source, [])
        else:
            ranks = {item: _ranks(item, source, rows) for item, _ in select.items if isinstance(item, Rank)}
            places = [{item: found[place] for item, found in ranks.items()} for place in range(len(rows))]
            looks = [(_row_look(source, *each), each[0].users) for each in zip(rows, places, strict=True)]
            empty = _row_look(source, None, dict.fromkeys(ranks, 0))
        found = [Row(tuple(_settled(item, *each) for item, _ in select.items), each[1]) for each in looks]
        about = tuple(look_up(item, empty)[1] for item, _ in select.items)
        if select.is_distinct:
            found = _distinct(found)
        return Relation(tuple(("", name) for _, name in select.items), about, found)

    def without_queries(self, where: Expr) -> Expr:
        """The condition with lists in place of sub-queries, which are no paths of the query."""
        if isinstance(where, All):
            return All(tuple(self.without_queries(each) for each in where.conditions))
        if not isinstance(where, InQuery):
            return where
        rows = _Machine(self.ctes, self.tables).select(where.query).rows
        return InList(where.of, tuple(row.cells[0].value for row in rows))


def look_up(expr: Expr, look: Look) -> tuple[Cell, About]:  # noqa: PLR0911 - one for each kind of expression
    """What an expression comes to; `look` knows columns, aggregates and keys."""
    found = look(expr)
    if found is not None:
        return found
    match expr:
        case Lit(value):
            return Cell(value), About()
        case IsNull(of, is_negated):
            cell, _ = look_up(of, look)
            return Cell((cell.value is None) != is_negated, cell.paths), About()
        case InList(of, values):
            cell, about = look_up(of, look)
            is_in = None if cell.value is None else cell.value in values
            return Cell(is_in, cell.paths), About(about.level)
        case All(conditions):
            parts = [look_up(each, look) for each in conditions]
            return _together(all(cell.value is True for cell, _ in parts), parts)
        case Coalesce(wanted):
            parts = [look_up(each, look) for each in wanted]
            return _together(next((c.value for c, _ in parts if c.value is not None), None), parts)
        case Case(branches, otherwise):
            tests = [(look_up(test, look), look_up(value, look)) for test, value in branches]
            last = look_up(otherwise, look)
            chosen = next((value for test, value in tests if test[0].value is True), last)
            return _together(chosen[0].value, [part for pair in tests for part in pair] + [last])
        case Bin(op, left, right):
            return _binary(op, look_up(left, look), look_up(right, look))
    raise AssertionError(expr)


def about_of(expr: Expr, known: Mapping[Expr, About]) -> About:
    """The level of an expression over columns whose levels are known."""

    def look(asked: Expr) -> tuple[Cell, About] | None:
        if asked in known:
            return Cell(None), known[asked]
        if isinstance(asked, Agg):
            return _aggregated(asked.function, [], about_of(asked.of, known) if asked.of else About())
        return None

    return look_up(expr, look)[1]


def _binary(op: str, left: tuple[Cell, About], right: tuple[Cell, About]) -> tuple[Cell, About]:
    (a, about_a), (b, about_b) = left, right
    function = (ARITHMETIC | COMPARISONS)[op]
    value = None if a.value is None or b.value is None else function(a.value, b.value)
    cell, about = _together(value, [left, right])
    if op in COMPARISONS:
        return cell, about
    is_metric = about_a.is_metric or about_b.is_metric
    return replace(cell, metrics=a.metrics + b.metrics), About(about.level, is_metric)


def _together(value: Any, parts: list[tuple[Cell, About]]) -> tuple[Cell, About]:
    """A value made of several."""
    paths = _union(cell.paths for cell, _ in parts)
    return Cell(value, paths), About(max(about.level for _, about in parts))


def _union(several: Iterable[frozenset[int] | None]) -> frozenset[int] | None:
    known = [paths for paths in several if paths is not None]
    return frozenset().union(*known) if known else None


def _is_true(condition: Expr, look: Look) -> bool:
    return look_up(condition, look)[0].value is True


def _settled(item: Expr, look: Look, users: Mapping[int, frozenset[User]]) -> Cell:
    """An output's cell; what has no column comes by all paths of the row it stands in."""
    cell, _ = look_up(item, look)
    return cell if cell.paths is not None else replace(cell, paths=frozenset(users))


def _ranks(rank: Rank, source: Relation, rows: list[Row]) -> list[int]:
    looks = [_row_look(source, row) for row in rows]
    pairs = [(look_up(rank.of, look)[0].value, look_up(rank.order, look)[0].value) for look in looks]
    several: dict[Any, list[Any]] = defaultdict(list)
    for user, number in pairs:
        several[user].append(number)
    return [1 + sum(other > number for other in several[user]) for user, number in pairs]


def _row_look(source: Relation, row: Row | None, ranks: Mapping[Expr, int] | None = None) -> Look:
    def look(expr: Expr) -> tuple[Cell, About] | None:
        if isinstance(expr, Rank) and ranks:
            return Cell(ranks[expr]), About()
        if not isinstance(expr, Col):
            return None
        place = source.names.index((expr.source, expr.name))
        return row.cells[place] if row else Cell(None), source.about[place]

    return look


def _groups(keys: tuple[Expr, ...], source: Relation, rows: list[Row]) -> list[list[Row]]:
    if not keys:
        return [rows]
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        look = _row_look(source, row)
        groups[tuple(look_up(key, look)[0].value for key in keys)].append(row)
    return list(groups.values())


def _users(rows: Iterable[Row]) -> Mapping[int, frozenset[User]]:
    users: dict[int, set[User]] = defaultdict(set)
    for row in rows:
        for path, known in row.users.items():
            users[path] |= known
    return {path: frozenset(known) for path, known in users.items()}


def _group_look(keys: tuple[Expr, ...], source: Relation, group: list[Row]) -> Look:
    known: dict[Expr, tuple[Cell, About]] = {}

    def each(expr: Expr) -> list[tuple[Cell, About]]:
        return [look_up(expr, _row_look(source, row)) for row in group]

    def about(expr: Expr) -> About:
        return look_up(expr, _row_look(source, None))[1]

    def find(expr: Expr) -> tuple[Cell, About] | None:
        if expr in keys:
            cells = each(expr)
            first = Cell(cells[0][0].value if cells else None, _union(cell.paths for cell, _ in cells))
            return first, About(about(expr).level)
        if not isinstance(expr, Agg):
            return None
        if expr.of is None:
            return _summed([(row, Cell(1)) for row in group]), About(is_metric=True)
        cells = [(row, cell) for row, (cell, _) in zip(group, each(expr.of), strict=True)]
        valued = [(row, cell) for row, cell in cells if cell.value is not None]
        found, kind = _aggregated(expr.function, valued, about(expr.of))
        # NULLs add nothing, but the column came by its paths all the same.
        paths = [frozenset(row.users) if cell.paths is None else cell.paths for row, cell in cells]
        return replace(found, paths=_union(paths)), kind

    def look(expr: Expr) -> tuple[Cell, About] | None:
        if expr not in known:
            found = find(expr)
            if found is None:
                return None
            known[expr] = found
        return known[expr]

    return look


def _aggregated(function: str, cells: list[tuple[Row, Cell]], about: About) -> tuple[Cell, About]:
    values = [cell.value for _, cell in cells]
    paths = _union(cell.paths for _, cell in cells)
    match function:
        case "SUM":
            total = _summed(cells)
            return total if cells else replace(total, value=None), About(about.level, is_metric=True)
        case "COUNT":
            return _summed([(row, Cell(1, cell.paths)) for row, cell in cells]), About(is_metric=True)
        case "COUNT DISTINCT":
            return Cell(len(set(values)), paths), About(is_metric=True)
        case "MIN" | "MAX":
            best = (min if function == "MIN" else max)(values, default=None)
            return Cell(best, paths), About(about.level)
        case _:
            mean = Fraction(sum(values)) / len(values) if values else None
            return Cell(mean, paths), About(about.level)


def _summed(cells: list[tuple[Row, Cell]]) -> Cell:
    """A sum, and each user's part: of a value that does not split, everybody behind it has all."""
    shares: dict[int, Any] = defaultdict(int)
    for row, cell in cells:
        parts = cell.shares
        if parts is None:
            parts = dict.fromkeys(row.known(cell.paths), cell.value)
        for user, part in parts.items():
            shares[user] += part
    total = sum(cell.value for _, cell in cells)
    paths = _union(frozenset(row.users) if c.paths is None else c.paths for row, c in cells) or frozenset()
    return Cell(total, paths, shares, (Metric(total, shares, paths),))


def _distinct(rows: list[Row]) -> list[Row]:
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        groups[tuple(cell.value for cell in row.cells)].append(row)
    return [Row(group[0].cells, _users(group)) for group in groups.values()]


def _united(arms: list[Relation], *, is_all: bool) -> Relation:
    about = tuple(
        About(max(each.level for each in column), all(each.is_metric for each in column))
        for column in zip(*(arm.about for arm in arms), strict=True)
    )
    rows = [row for arm in arms for row in arm.rows]
    return Relation(arms[0].names, about, rows if is_all else _distinct(rows))


def _joined(join: Join, left: Relation, right: Relation) -> Relation:
    names, about = left.names + right.names, left.about + right.about
    if not join.on:
        pairs = ((a, b) for a in left.rows for b in right.rows)
        return Relation(names, about, [Row(a.cells + b.cells, {**a.users, **b.users}) for a, b in pairs])
    meets: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for place, row in enumerate(right.rows):
        meets[_key(right, row, [b for _, b in join.on])].append(place)
    rows, met = [], set()
    for row in left.rows:
        key = _key(left, row, [a for a, _ in join.on])
        places = [] if None in key else meets.get(key, [])
        met.update(places)
        others = [right.rows[place] for place in places]
        rows += [Row(row.cells + other.cells, {**row.users, **other.users}) for other in others]
        if not places and join.kind != "JOIN":
            rows.append(Row(row.cells + (Cell(None, frozenset()),) * len(right.names), row.users))
    if join.kind == "FULL JOIN":
        lone = (row for place, row in enumerate(right.rows) if place not in met)
        rows += [Row((Cell(None, frozenset()),) * len(left.names) + row.cells, row.users) for row in lone]
    return Relation(names, about, rows)


def _key(source: Relation, row: Row, exprs: list[Expr]) -> tuple[Any, ...]:
    look = _row_look(source, row)
    return tuple(look_up(expr, look)[0].value for expr in exprs)
