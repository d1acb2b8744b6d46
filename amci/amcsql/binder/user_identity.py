"""Which reads of tables are about one and the same user in each row.

A class is a set of paths: in every row, all of them that are there have the same user. Where a relation is grouped by
something that does not tell the user, a row has many, and the class is no longer among its classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import zip_longest

from amci.amcsql.binder.bound import CteRef, Relation, Scan, Select, Union, ValuesRows
from amci.amcsql.binder.levels import NOBODY, ValueFacts

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
    found = joined_union(union)
    return found if union.is_all else kept(found, [output.facts for output in union.outputs])


def kept(classes: Iterable[Class], keys: Iterable[ValueFacts]) -> list[Class]:
    """The classes that are still classes where rows are grouped by these keys."""
    keys = list(keys)
    return [each for each in classes if any(tells(key, each) for key in keys)]


def tells(key: ValueFacts, people: Class) -> bool:
    """Whether rows with one value of a key all have the same user, or no known one."""
    return bool(key.identifies) and key.identifies <= people <= key.covers
