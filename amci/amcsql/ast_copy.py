"""Copies of expressions.

sqlglot's own copy also copies what each node remembers of its place in the text, deeply: most of the time it takes.
"""

from __future__ import annotations

from typing import Any, TypeVar

from sqlglot import exp

Node = TypeVar("Node", bound=exp.Expr)


def copied(node: Node) -> Node:
    """The same expression as a tree of its own."""
    args: dict[str, Any] = {
        name: copied(value)
        if isinstance(value, exp.Expr)
        else [copied(each) if isinstance(each, exp.Expr) else each for each in value]
        if isinstance(value, list)
        else value
        for name, value in node.args.items()
    }
    made = type(node)(**args)
    if node._meta is not None:  # noqa: SLF001 - asking for `meta` would make one
        made.meta.update(node._meta)  # noqa: SLF001
    return made


def inside(holder: exp.Expr) -> exp.Expr:
    """What a node holds: an expression that may be replaced as a whole needs something around it."""
    found: exp.Expr = holder.this
    return found
