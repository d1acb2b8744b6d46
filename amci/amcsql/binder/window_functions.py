"""GROUP BY a window function: it is computed in a query of its own, which is then grouped (amc-api 3.2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from sqlglot import exp

from amci.amcsql.ast_copy import copied, inside
from amci.amcsql.binder.bound import FromItem, OutputColumn, Select
from amci.amcsql.binder.expressions import Reader
from amci.amcsql.binder.user_identity import classes_of

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
