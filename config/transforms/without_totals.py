"""Light transform of shop_orders: leaves out the line with the total that the shop writes last.

A light transform gets what it names as parameters: `rows`, a DuckDB relation in which every column is text,
and `obj`, the object (its key, tenant, dataset, version). It returns the rows to keep, or a Skip with a
reason. It reads and writes no file: amci does that.
"""

from __future__ import annotations

import duckdb

from amci import Skip


def without_totals(rows: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation | Skip:
    """All lines but the total; a day without orders is skipped."""
    orders = rows.filter("order_id IS DISTINCT FROM 'TOTAL'")
    return orders if orders.limit(1).fetchone() else Skip("no orders that day")
