"""Where in a query something stands, in Calcite's words (amc-api 1.5)."""

from __future__ import annotations

from sqlglot import exp


def spot(sql: str, node: exp.Expr | None) -> str:
    """`From line 1, column 8 to line 1, column 10: `, or nothing where the place is not known."""
    identifier = node if isinstance(node, exp.Identifier) or node is None else node.find(exp.Identifier)
    meta = identifier.meta if identifier is not None else {}
    if "start" not in meta or "end" not in meta:
        return ""
    (first, begin), (last, end) = _place(sql, meta["start"]), _place(sql, meta["end"])
    return f"From line {first}, column {begin} to line {last}, column {end}: "


def _place(sql: str, offset: int) -> tuple[int, int]:
    before = sql[:offset]
    return before.count("\n") + 1, offset - before.rfind("\n")


def named(tree: exp.Expr, name: str) -> exp.Identifier | None:
    """The first identifier of this name."""
    wanted = name.lower()
    return next((found for found in tree.find_all(exp.Identifier) if found.name.lower() == wanted), None)
