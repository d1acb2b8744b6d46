"""Reads an expression: what its columns are, what is known of its value, and what may not be compared (amc-api 3.3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from sqlglot import exp

from amci.amcsql.binder.bound import InnerQuery, QueryExpression
from amci.amcsql.binder.levels import LITERAL, NOBODY, NOTHING, Level, ValueFacts, chosen, mixed
from amci.amcsql.binder.scopes import FindingReport, NameScope, shared_column
from amci.amcsql.functions.calls import Function, arity_fault, function_of, type_of, unknown_function

#: What compares its operands.
COMPARISONS = (
    exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.NullSafeNEQ, exp.Like, exp.ILike,
    exp.RegexpLike, exp.SimilarTo, exp.Between, exp.In, exp.Greatest, exp.Least, exp.Nullif,
)  # fmt: skip
NUMBERS = frozenset({"INTEGER", "LONG", "DOUBLE", "DECIMAL"})
#: What looks for one argument in another, or gives NULL for some values: what they give tells whether it was found.
_MATCHING = frozenset({
    "REGEXP_SUBSTR", "REGEXP_REPLACE", "REGEXP_SPLIT", "REPLACE", "STR_TO_MAP", "JSON_EXTRACT", "TRIM", "LTRIM",
    "RTRIM", "CHARINDEX", "LOCATE", "INSTR", "STRPOS", "POSITION", "ARRAY_REMOVE", "ARRAY_INTERSECT",
    "ARRAY_COMPLEMENT", "ARRAY_UNION", "ARRAY_DISTINCT", "LN", "LOG", "LOG10", "MOD", "SQRT",
})  # fmt: skip
#: Functions whose texts are keywords; those of others may be in what they give.
_WITH_KEYWORDS = frozenset(
    {"DATE_TRUNC", "EXTRACT", "CONVERT_TIME_ZONE_FROM_UTC", "TO_VARBINARY", "FROM_VARBINARY"}
)
#: The code of findings about comparisons that AMC forbids.
COMPARISON = "privacy-comparison"
#: Set on a value that took the place of a parameter.
PARAMETER = "parameter"


def family_of(column: exp.Column) -> str:
    """The family of a resolved column's type."""
    return str(column.meta.get("family", "UNKNOWN"))


def is_distinct(count: exp.Expr) -> bool:
    """Whether an aggregate looks at distinct values."""
    return isinstance(count.this, exp.Distinct)


class Reader:
    """Reads the expressions of one SELECT."""

    def __init__(
        self, scope: NameScope, report: FindingReport, bind: Callable[[exp.Expr, NameScope], QueryExpression]
    ) -> None:
        self.scope, self.report, self._bind = scope, report, bind
        self.has_aggregate = False

    def read(self, node: exp.Expr) -> ValueFacts:
        """The facts of an expression; its columns are resolved on the way, mistakes are reported."""
        if PARAMETER in node.meta:
            return LITERAL
        special = _SPECIAL.get(type(node))
        if special is not None:
            return special(self, node)
        if isinstance(node, COMPARISONS):
            return self._compared(node, self._parts(node))
        function = function_of(node)
        if function is not None:
            return self._called(node, function)
        if isinstance(node, exp.Anonymous):
            self.report.findings.append(unknown_function(self.report.sql, node))
        return mixed(self._parts(node))

    def value(self, node: exp.Expr) -> ValueFacts:
        """The facts of an expression with its type's family, for a column of the result."""
        facts = self.read(node)
        family = type_of(node, family_of)
        is_number = family in NUMBERS | {"UNKNOWN"}
        return replace(
            facts,
            family=family,
            is_metric=facts.is_metric and is_number,
            is_summed=facts.is_summed and is_number,
        )

    def grouped(self, node: exp.Expr, facts: ValueFacts, what: str) -> None:
        """Refuse a key that would tell which of the barred values is a given one."""
        if facts.is_barred and facts.is_literal:
            self._bar(node, f"{what} by")

    def _parts(self, node: exp.Expr) -> list[ValueFacts]:
        """The facts of what a node is made of."""
        # a child may put another in its place, so the list is made first
        return [self.read(child) for child in _children(node)]

    def _compared(self, node: exp.Expr, parts: Sequence[ValueFacts]) -> ValueFacts:
        made = mixed(parts)
        if made.is_barred and made.is_literal:
            self._bar(node, "compared with")
        return replace(made, is_metric=False, is_summed=False)

    def _bar(self, node: exp.Expr, how: str) -> None:
        column = next((each for each in node.find_all(exp.Column)), None)
        name = column.name if column is not None else "the value"
        text = (
            f"Column '{name}' has a high aggregation threshold and may not be {how} a literal, a parameter"
            " or what comes from them"
        )
        self.report.error(
            node, COMPARISON, text, "compare it with another column, or leave the comparison out"
        )

    def _column(self, node: exp.Expr) -> ValueFacts:
        if isinstance(node.this, exp.Star):
            self.report.error(
                node, "star", f"{node.text('table')}.* is not supported here", "name the columns"
            )
            return NOTHING
        shared = shared_column(self.scope, node)  # type: ignore[arg-type]
        if shared is None:
            return self.scope.resolve(node, self.report)  # type: ignore[arg-type]
        node.replace(shared[0])
        return shared[1]

    def _is(self, node: exp.Expr) -> ValueFacts:
        """`x IS NULL` tells nothing of the value (amc-api 3.3)."""
        value = self.read(node.this)
        return (
            ValueFacts(paths=value.paths)
            if isinstance(node.expression, exp.Null)
            else replace(value, is_metric=False, is_summed=False)
        )

    def _in(self, node: exp.Expr) -> ValueFacts:
        parts = [self.read(node.this), *(self.read(each) for each in node.expressions)]
        if (query := node.args.get("query")) is not None:
            parts.append(self._inner(node, "query", query))
            self._same_width(node)
        return self._compared(node, parts)

    def _same_width(self, node: exp.Expr) -> None:
        """Refuse a sub-query of IN that has more or fewer columns than what is looked for."""
        wanted, query = node.this.unnest(), node.args["query"].query
        width = len(wanted.expressions) if isinstance(wanted, exp.Tuple) else 1
        if query.outputs and len(query.outputs) != width:
            text = f"IN looks for {width} value(s), and its sub-query has {len(query.outputs)} columns"
            self.report.error(node, "in-columns", text, "give the sub-query one column for each value")

    def _exists(self, node: exp.Expr) -> ValueFacts:
        self._inner(node, "this", node.this)
        return ValueFacts()

    def _inner(self, node: exp.Expr, where: str, query: exp.Expr) -> ValueFacts:
        bound = self._bind(query, NameScope(named=self.scope.named, around=self.scope))
        node.set(where, InnerQuery(query=bound))
        return mixed(output.facts for output in bound.outputs)

    def _subquery(self, node: exp.Expr) -> ValueFacts:
        text = "Sub-queries are supported in FROM, IN and EXISTS only"
        self.report.error(node, "scalar-query", text, "join the sub-query instead")
        return NOTHING

    def _case(self, node: exp.Expr) -> ValueFacts:
        subject = [self.read(node.this)] if node.this is not None else []
        conditions, values = [], []
        for branch in node.args["ifs"]:
            condition = self.read(branch.this)
            conditions.append(self._compared(branch, [*subject, condition]) if subject else condition)
            values.append(self.read(branch.args["true"]))
        default = node.args.get("default")
        values.append(self.read(default) if default is not None else NOTHING)
        return _picked(conditions, values)

    def _if(self, node: exp.Expr) -> ValueFacts:
        otherwise = node.args.get("false")
        values = [self.read(node.args["true"]), self.read(otherwise) if otherwise is not None else NOTHING]
        return _picked([self.read(node.this)], values)

    def _if_called(self, node: exp.Expr) -> ValueFacts:
        condition, *values = self._parts(node)
        return _picked([condition], values if len(values) > 1 else [*values, NOTHING])

    def _nvl2(self, node: exp.Expr) -> ValueFacts:
        condition, *values = self._parts(node)
        return _picked([ValueFacts(paths=condition.paths)], values)

    def _compared_call(self, node: exp.Expr) -> ValueFacts:
        return self._compared(node, self._parts(node))

    def _divided(self, node: exp.Expr) -> ValueFacts:
        """By zero it gives NULL, which tells of the divisor."""
        value, divisor = self._parts(node)
        self._compared(node.expression, [divisor])
        return mixed((value, divisor))

    def _coalesce(self, node: exp.Expr) -> ValueFacts:
        return chosen(self._parts(node), is_first=True)

    def _cast(self, node: exp.Expr) -> ValueFacts:
        """The same value in another type; as text it still tells its user."""
        value = self.read(node.this)
        target: exp.Expr = node.args["to"]
        is_same = target.this in exp.DataType.TEXT_TYPES and not target.expressions
        return value if value is NOTHING or is_same else replace(value, identifies=NOBODY, covers=NOBODY)

    def _window(self, node: exp.Expr) -> ValueFacts:
        call = node.this.this if isinstance(node.this, exp.IgnoreNulls | exp.RespectNulls) else node.this
        before = self.has_aggregate
        facts = self.read(call)
        # what is computed over rows as they are does not group them; what is within it may
        self.has_aggregate = before or any(
            _is_aggregate(each) for each in call.find_all(exp.Func) if each is not call
        )
        for key in node.args.get("partition_by") or ():
            self.grouped(key, self.read(key), "partitioned")
        for part in (node.args.get("order"), node.args.get("spec")):
            if part is not None:
                self._parts(part)
        return replace(facts, is_metric=False, is_summed=False, identifies=NOBODY, covers=NOBODY)

    def _called(self, node: exp.Expr, function: Function) -> ValueFacts:
        if fault := arity_fault(function, node):
            self.report.error(node, "arguments", fault)
        if (special := _BY_NAME.get(function.name)) is not None and isinstance(node, exp.Anonymous):
            return special(self, node)
        parts = self._parts(node)
        if function.is_aggregate:
            self.has_aggregate = True
            if _is_aggregate(node) and any(each is not node for each in aggregates(node)):
                text = "Aggregate expressions cannot be nested"
                self.report.error(node, "nested-aggregate", text, "aggregate in a sub-query first")
        if function.role == "compare":
            return self._compared(node, parts)
        if function.name in _MATCHING:
            self._compared(node, parts)
        if function.role == "shape":
            return _shaped(node, parts, function)
        made = mixed(parts)
        by_role: dict[str, ValueFacts] = {
            "count": ValueFacts(
                is_metric=function.name == "COUNT" and not is_distinct(node), is_summed=True, paths=made.paths
            ),
            "sum": replace(made, is_metric=True, is_summed=True),
            "aggregate": replace(made, is_metric=False, is_summed=False),
            "rank": ValueFacts(paths=made.paths),
            "random": ValueFacts(paths=made.paths),
            "clock": LITERAL,
        }
        return by_role.get(function.role, made)


def _shaped(node: exp.Expr, parts: Sequence[ValueFacts], function: Function) -> ValueFacts:
    """A value that numbers and keywords only give a form: they are in it only where there is nothing else."""
    is_plain = function.name in _WITH_KEYWORDS
    children = zip(_children(node), parts, strict=True)
    values = [
        facts
        for child, facts in children
        if not (isinstance(child, exp.Literal) and (is_plain or not child.is_string))
    ]
    is_literal = not values or any(facts.is_literal for facts in values)
    return replace(mixed(parts), is_literal=is_literal)


def _children(node: exp.Expr) -> list[exp.Expr]:
    return [
        child for child in node.iter_expressions() if not isinstance(child, exp.DataType | exp.Identifier)
    ]


def _picked(conditions: Sequence[ValueFacts], values: Sequence[ValueFacts]) -> ValueFacts:
    """One of several values, by conditions: these tell as much as they compare."""
    made, told = chosen(values), mixed(conditions)
    return replace(
        made,
        level=max(made.level, told.level),
        is_barred=made.is_barred or told.is_barred,
        is_literal=made.is_literal or told.is_literal,
        paths=made.paths | told.paths,
    )


def _is_aggregate(node: exp.Expr) -> bool:
    function = function_of(node)
    return (
        function is not None
        and function.role in ("count", "sum", "aggregate")
        and not isinstance(node.parent, exp.Window)
    )


def aggregates(node: exp.Expr) -> list[exp.Expr]:
    """The aggregate calls of an expression, those over windows left out."""
    return [each for each in node.walk() if isinstance(each, exp.Func) and _is_aggregate(each)]


def check_output(report: FindingReport, node: exp.Expr | None, facts: ValueFacts, name: str) -> None:
    """Refuse a column that may never be in a result."""
    if facts.level.is_hidden:
        text = (
            f"Column '{name}' comes from a column with the aggregation threshold {Level(facts.level).name},"
            " which may not be in the output"
        )
        report.error(node, "privacy-output", text, "COUNT(DISTINCT …) it, or leave it out")


_SPECIAL: dict[type[exp.Expr], Callable[[Reader, exp.Expr], ValueFacts]] = {
    exp.Column: Reader._column,  # noqa: SLF001 - the table of the class itself
    exp.Literal: lambda _, __: LITERAL,
    exp.Boolean: lambda _, __: LITERAL,
    exp.Null: lambda _, __: NOTHING,
    exp.Star: lambda _, __: ValueFacts(),
    exp.Paren: lambda reader, node: reader.read(node.this),
    exp.Is: Reader._is,  # noqa: SLF001
    exp.In: Reader._in,  # noqa: SLF001
    exp.Exists: Reader._exists,  # noqa: SLF001
    exp.Subquery: Reader._subquery,  # noqa: SLF001
    exp.Select: Reader._subquery,  # noqa: SLF001
    exp.Case: Reader._case,  # noqa: SLF001
    exp.If: Reader._if,  # noqa: SLF001
    exp.Coalesce: Reader._coalesce,  # noqa: SLF001
    exp.Cast: Reader._cast,  # noqa: SLF001
    exp.Window: Reader._window,  # noqa: SLF001
    exp.Div: Reader._divided,  # noqa: SLF001
    exp.Mod: Reader._divided,  # noqa: SLF001
}
#: Calls whose value is one of their arguments, or that compare these.
_BY_NAME: dict[str, Callable[[Reader, exp.Expr], ValueFacts]] = {
    "COALESCE": Reader._coalesce,  # noqa: SLF001
    "NVL": Reader._coalesce,  # noqa: SLF001
    "IFNULL": Reader._coalesce,  # noqa: SLF001
    "NVL2": Reader._nvl2,  # noqa: SLF001
    "IF": Reader._if_called,  # noqa: SLF001
    "GREATEST": Reader._compared_call,  # noqa: SLF001
    "LEAST": Reader._compared_call,  # noqa: SLF001
    "NULLIF": Reader._compared_call,  # noqa: SLF001
}
