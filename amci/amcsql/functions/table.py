"""All functions of AMC SQL by name, from the tables by subject (amc-api 3.2)."""

from __future__ import annotations

from collections.abc import Mapping

from amci.amcsql.functions.model import Function
from amci.amcsql.functions.table_aggregates import AGGREGATES
from amci.amcsql.functions.table_arrays import ARRAYS
from amci.amcsql.functions.table_numbers import NUMBERS
from amci.amcsql.functions.table_text import TEXTS
from amci.amcsql.functions.table_times import TIMES
from amci.amcsql.functions.table_values import VALUES

FUNCTIONS: Mapping[str, Function] = {
    function.name: function
    for table in (TEXTS, NUMBERS, TIMES, ARRAYS, VALUES, AGGREGATES)
    for function in table
}
