"""GROUP BY and HAVING: what their ordinals and aliases mean, and what may stand beside aggregates (amc-api 3.1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from sqlglot import exp

from amci.amcsql.ast_copy import copied, inside
from amci.amcsql.binder.bound import FromItem, OutputColumn, Select
from amci.amcsql.binder.expressions import Reader, aggregates
from amci.amcsql.binder.levels import ValueFacts
from amci.amcsql.binder.scopes import FindingReport
from amci.amcsql.binder.user_identity import classes_of


def group_keys(
    node: exp.Select, outputs: Sequence[OutputColumn], reader: Reader, report: FindingReport
) -> tuple[list[exp.Expr], list[ValueFacts]]:
    """What rows are grouped by, ordinals and aliases replaced by what they stand for, and what is known of it."""
    group = node.args.get("group")
    if group is None:
        return [], []
    for name in ("rollup", "cube", "grouping_sets", "totals"):
        if group.args.get(name):
            text = f"{name.upper().replace('_', ' ')} is not supported"
            report.error(group, "grouping-sets", text, "UNION ALL several queries")
    keys: list[exp.Expr] = []
    facts: list[ValueFacts] = []
    for place in range(len(group.expressions)):
        key, key_facts = _key(group, place, outputs, reader, report)
        if key is not None and key not in keys:
            keys.append(key)
            facts.append(key_facts)
    return keys, facts


def _key(
    group: exp.Expr, place: int, outputs: Sequence[OutputColumn], reader: Reader, report: FindingReport
) -> tuple[exp.Expr | None, ValueFacts]:
    node = group.expressions[place]
    if isinstance(node, exp.Literal) and not node.is_string:
        ordinal = int(node.name) if node.name.isdecimal() else 0
        if not 1 <= ordinal <= len(outputs):
            report.error(node, "ordinal", "Ordinal out of range", f"the query has {len(outputs)} columns")
            return None, ValueFacts()
        output = outputs[ordinal - 1]
    else:
        aliased = _aliased(node, outputs)
        if aliased is None or aggregates(aliased.value or exp.Null()):
            facts = reader.value(node)
            # what the reader resolved may stand there in place of it
            output = OutputColumn("", facts, group.expressions[place])
        else:
            output = aliased
    if output.value is None or _is_illegal(output.value, node, report):
        return None, ValueFacts()
    return copied(output.value), output.facts


def _is_illegal(value: exp.Expr, node: exp.Expr, report: FindingReport) -> bool:
    """Whether rows cannot be grouped by a value, which is reported."""
    if aggregates(value):
        text = "Aggregate expression is illegal in GROUP BY clause"
        report.error(node, "aggregate-in-group-by", text, "group by the other columns only")
        return True
    return False


def with_aliases(having: exp.Expr, outputs: Sequence[OutputColumn], report: FindingReport) -> None:
    """Put what they stand for in place of aliases in HAVING, but for those within aggregates."""
    for window in having.find_all(exp.Window):
        _no_window(window, "a window function", report)
    inside = {id(column) for call in aggregates(having) for column in call.find_all(exp.Column)}
    for column in list(having.find_all(exp.Column)):
        output = None if id(column) in inside else _aliased(column, outputs)
        if output is None or output.value is None:
            continue
        if output.value.find(exp.Window):
            _no_window(column, f"the window function {column.name}", report)
        value = copied(output.value)
        column.replace(value if isinstance(value, exp.Column) else exp.Paren(this=value))


def _no_window(node: exp.Expr, what: str, report: FindingReport) -> None:
    text = f"HAVING by {what} does not work in AMC"
    report.error(node, "window-in-having", text, "wrap the query in another and use WHERE")


def check_grouping(block: Select, report: FindingReport) -> None:
    """Report columns that are neither grouped by nor within an aggregate."""
    keys = set(block.keys)
    for value in [*(output.value for output in block.outputs), block.having]:
        if value is not None:
            _check(value, keys, report)


def _check(node: exp.Expr, keys: set[exp.Expr], report: FindingReport) -> None:
    if node in keys:
        return
    if isinstance(node, exp.Column):
        text = f"Expression '{node.name}' is not being grouped"
        report.error(node, "not-grouped", text, "add it to GROUP BY, or aggregate it")
        return
    if node in aggregates(node):
        return
    for child in node.iter_expressions():
        _check(child, keys, report)


def _aliased(node: exp.Expr, outputs: Sequence[OutputColumn]) -> OutputColumn | None:
    if not isinstance(node, exp.Column) or node.table:
        return None
    return next((output for output in outputs if output.name.lower() == node.name.lower()), None)


_BENEATH = "amci windowed"


def with_windows_beneath(block: Select, reader: Reader) -> Select:
    """The same SELECT, where the windows of its keys are columns of a query beneath it."""
    windows = dict.fromkeys(window for key in block.keys for window in _outermost(key))
    if not windows:
        return block
    beneath = _Beneath(reader, list(windows))
    keys = [beneath.seen_from_above(key) for key in block.keys]
    outputs = [
        replace(output, value=beneath.seen_from_above(output.value)) if output.value is not None else output
        for output in block.outputs
    ]
    having = beneath.seen_from_above(block.having) if block.having is not None else None
    inner = Select(
        outputs=list(beneath.outputs.values()),
        items=block.items,
        where=block.where,
        windows=block.windows,
        same=block.same,
        node=block.node,
    )
    return replace(
        block,
        outputs=outputs,
        items=[FromItem(alias=_BENEATH, relation=inner)],
        where=None,
        keys=keys,
        having=having,
        windows=(),
        same=list(classes_of(inner)),
    )


@dataclass(slots=True)
class _Beneath:
    """What the query beneath gives."""

    reader: Reader
    windows: list[exp.Expr]
    outputs: dict[exp.Expr, OutputColumn] = field(default_factory=dict)  #: by what they are

    def seen_from_above(self, node: exp.Expr) -> exp.Expr:
        """An expression, with columns of the query beneath in place of windows and columns."""
        holder = exp.Paren(this=copied(node))
        self._replace(holder)
        return inside(holder)

    def _replace(self, node: exp.Expr) -> None:
        for child in list(node.iter_expressions()):
            if child in self.windows or isinstance(child, exp.Column):
                child.replace(self._column(child))
            else:
                self._replace(child)

    def _column(self, node: exp.Expr) -> exp.Column:
        if node not in self.outputs:
            value = exp.Paren(this=copied(node))
            facts = self.reader.value(inside(value))
            self.outputs[copied(node)] = OutputColumn(f"amci w{len(self.outputs)}", facts, inside(value))
        output = self.outputs[node]
        column = exp.column(
            exp.to_identifier(output.name, quoted=True), exp.to_identifier(_BENEATH, quoted=True)
        )
        column.this.meta.update(next((each.meta for each in node.find_all(exp.Identifier)), {}))
        column.meta["family"] = output.facts.family
        return column


def _outermost(node: exp.Expr) -> Iterator[exp.Expr]:
    """The window functions in an expression that are not within another."""
    if isinstance(node, exp.Window):
        yield node
        return
    for child in node.iter_expressions():
        yield from _outermost(child)
