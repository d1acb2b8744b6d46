"""Which expressions tell the user of a row, and which rows there are once for each user."""

from __future__ import annotations

from sqlglot import exp

from amci.amcsql.ast_copy import copied, inside
from amci.amcsql.binder.bound import CteRef, Relation, Select
from amci.amcsql.binder.levels import ValueFacts
from amci.amcsql.binder.user_identity import Class, classes_of, tells


def tells_user(block: Select, node: exp.Expr, people: Class) -> bool:
    """Whether a value is NULL or tells the user of its row, one of a class."""
    if isinstance(node, exp.Column):
        facts = facts_of(block, node)
        return bool(facts.identifies) and facts.identifies <= people
    choices = _choices(node)
    return choices is not None and all(tells_user(block, each, people) for each in choices)


def facts_of(block: Select, column: exp.Column) -> ValueFacts:
    """What is known of a column of FROM."""
    for item in block.items:
        if item.alias == column.table:
            for output in item.relation.outputs:
                if output.name.lower() == column.name.lower():
                    return output.facts
    return ValueFacts()


def simply_counted(block: Select, node: exp.Expr) -> exp.Expr:
    """The same expression; users are counted as they come where there is one row for each: that is quicker."""
    if node.find(exp.Distinct) is None:
        return node
    people = _once_each(block)
    if people is None:
        return node
    holder = exp.Paren(this=copied(node))
    for count in list(holder.find_all(exp.Count)):
        counted = count.this.expressions if isinstance(count.this, exp.Distinct) else []
        if len(counted) == 1 and tells_user(block, counted[0], people):
            count.replace(exp.Count(this=counted[0]))
    return inside(holder)


def _once_each(block: Select) -> Class | None:
    """The class of users of whom each has one row at most in what a SELECT reads; None where there is none."""
    found: Class | None = None
    for item in block.items:
        if _is_one_row(item.relation):
            continue
        own = _once_each_in(item.relation)
        if own is None:
            return None
        # two of them have one row for each user together only where they were joined by users
        found = next((each for each in block.same if own | (found or own) <= each), None)
        if found is None:
            return None
    return found


def _once_each_in(relation: Relation) -> Class | None:
    if isinstance(relation, CteRef):
        own = _once_each_in(relation.of.query)
        return None if own is None else frozenset(relation.paths[path] for path in own)
    if not isinstance(relation, Select):
        return None
    if relation.is_grouped:
        keys = [] if relation.is_distinct else relation.key_facts
    elif relation.is_distinct:
        keys = [output.facts for output in relation.outputs]
    else:
        return _once_each(relation)
    if len(keys) != 1:
        return None
    return next((each for each in classes_of(relation) if tells(keys[0], each)), None)


def _is_one_row(relation: Relation) -> bool:
    """Whether it has one row at most: aggregates of everything."""
    if isinstance(relation, CteRef):
        return _is_one_row(relation.of.query)
    return isinstance(relation, Select) and relation.is_grouped and not relation.keys


def _choices(node: exp.Expr) -> list[exp.Expr] | None:
    """The values of which an expression is one; none of NULL, None of an expression that computes something."""
    if isinstance(node, exp.Null):
        return []
    if isinstance(node, exp.Paren):
        return [node.this]
    if isinstance(node, exp.Coalesce):
        return [node.this, *node.expressions]
    if isinstance(node, exp.If):
        return [node.args[name] for name in ("true", "false") if node.args.get(name) is not None]
    if isinstance(node, exp.Case):
        default = node.args.get("default")
        return [*(branch.args["true"] for branch in node.args["ifs"]), *([default] if default else [])]
    return None
