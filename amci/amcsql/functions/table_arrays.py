"""Functions of AMC SQL about arrays and rows."""

from __future__ import annotations

from amci.amcsql.functions.model import MANY, Function

_F = Function
#: Each element once, in the order of their first places; NULL is an element.
_ONCE = "list_filter({0}, lambda amci_element, amci_place: list_position({0}, amci_element) = amci_place)"

ARRAYS = (
    _F("ARRAY_CAT", 2, 2, "value", "ARRAY", "$1 || $2"),
    _F("ARRAY_COMPLEMENT", 2, 2, "value", "ARRAY",
       "list_filter($1, lambda amci_element: list_position($2, amci_element) IS NULL)"),
    _F("ARRAY_CONTAINS", 2, 2, "compare", "BOOLEAN", "list_contains"),
    _F("ARRAY_DISTINCT", 1, 1, "value", "ARRAY", _ONCE.format("$1")),
    _F("ARRAY_INTERSECT", 2, 2, "value", "ARRAY",
       "list_filter($1, lambda amci_element, amci_place: list_position($1, amci_element) = amci_place "
       "AND list_position($2, amci_element) IS NOT NULL)"),
    _F("ARRAY_REMOVE", 2, 2, "value", "ARRAY",
       "list_filter($1, lambda amci_element: amci_element IS DISTINCT FROM $2)"),
    _F("ARRAY_SORT", 1, 1, "shape", "ARRAY", "list_sort($1, 'ASC', 'NULLS LAST')"),
    _F("ARRAY_TO_STRING", 2, 2, "shape", "STRING", "", "_S"),
    _F("ARRAY_UNION", 2, 2, "value", "ARRAY", _ONCE.format("($1 || $2)")),
    _F("CARDINALITY", 1, 1, "value", "INTEGER", "len"),
    _F("EXPLODE", 1, 1, "rows", "UNKNOWN", "unnest"),
    _F("FLATTEN", 1, 1, "shape", "ARRAY"),
    _F("NAMED_ROW", 2, MANY, "value", "ROW"),
)  # fmt: skip
