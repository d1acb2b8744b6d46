"""Which reads of tables are about one and the same user in each row.

A class is a set of paths: in every row, all of them that are there have the same user. If a relation is grouped by
something that does not tell the user, a row has many users, and the class is not among its classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import zip_longest

from sqlglot import exp

from amci.amcsql.ast_copy import copied, inside
from amci.amcsql.binder.bound import CteRef, Relation, Scan, Select, Union, ValuesRows
from amci.amcsql.binder.levels import NOBODY, ValueFacts
from amci.amcsql.functions.calls import arguments

Class = frozenset[int]


def classes_of(relation: Relation) -> Sequence[Class]:
    """The classes of a relation's rows."""
    if isinstance(relation, Scan):
        return [frozenset({relation.path})] if relation.source.has_users else []
    if isinstance(relation, CteRef):
        own = classes_of(relation.of.query)
        return [frozenset(relation.paths[path] for path in each) for each in own]
    if isinstance(relation, ValuesRows):
        return []
    if isinstance(relation, Union):
        return _of_union(relation)
    if relation.is_distinct:
        return kept(classes_before_distinct(relation), [output.facts for output in relation.outputs])
    return classes_before_distinct(relation)


def classes_before_distinct(block: Select) -> Sequence[Class]:
    """The classes of a SELECT's rows as they are before DISTINCT."""
    return kept(block.same, block.key_facts) if block.is_grouped else block.same


def joined_union(union: Union) -> Sequence[Class]:
    """The classes of the rows of both sides, one after the other: the first of each side become one."""
    pairs = zip_longest(classes_of(union.left), classes_of(union.right), fillvalue=NOBODY)
    return [left | right for left, right in pairs]


def _of_union(union: Union) -> Sequence[Class]:
    classes = joined_union(union)
    return classes if union.is_all else kept(classes, [output.facts for output in union.outputs])


def kept(classes: Iterable[Class], keys: Iterable[ValueFacts]) -> list[Class]:
    """The classes that remain if rows are grouped by these keys."""
    keys = list(keys)
    return [each for each in classes if any(tells(key, each) for key in keys)]


def tells(key: ValueFacts, people: Class) -> bool:
    """Whether rows with one value of a key all have the same user, or no known one."""
    return bool(key.identifies) and key.identifies <= people <= key.covers


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
    """The same expression, but COUNT without DISTINCT for users if there is one row for each: that is faster."""
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
    common: Class | None = None
    for item in block.items:
        if _is_one_row(item.relation):
            continue
        own = _once_each_in(item.relation)
        if own is None:
            return None
        # two of them have one row for each user together only where they were joined by users
        common = next((each for each in block.same if own | (common or own) <= each), None)
        if common is None:
            return None
    return common


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
        return arguments(node)
    return None
