"""The many sums of the attributed tables, each a rule that its name tells (amc-api 4)."""

from __future__ import annotations

from collections.abc import Iterator

from amci.amcsql.sources import Source
from amci.kernel.names import quoted

#: What is counted: of which event, and how much of it.
_COUNTED = {
    "detail_page_view": ("detailPageView", "1"),
    "add_to_cart": ("shoppingCart", "1"),
    "purchases": ("order", "1"),
    "units_sold": ("order", "total_units_sold"),
    "product_sales": ("order", "total_product_sales"),
}
_SCOPES = {"brand_halo_": "NOT is_promoted", "total_": "", "": "is_promoted"}
_TRAFFIC = {"_clicks": "is_click", "_views": "NOT is_click", "": ""}
#: Already in the files under this name, and what the other sums are made of.
_GIVEN = ("total_units_sold", "total_product_sales")


def sums(source: Source) -> Iterator[str]:
    """`expression AS column` for the sums that the files do not hold."""
    for column in source.columns:
        if column.name in _GIVEN:
            continue
        if expression := _sum(column.name):
            yield f"{expression} AS {quoted(column.name)}"


def _sum(name: str) -> str | None:
    """What `new_to_brand_brand_halo_purchases_clicks` and its like are; None where a column is no such sum."""
    if name.startswith("digital_"):
        return "0"  # nobody here sells subscriptions
    rest, new = (
        (name.removeprefix("new_to_brand_"), "new_to_brand")
        if name.startswith("new_to_brand_")
        else (name, "")
    )
    traffic = next(end for end in _TRAFFIC if rest.endswith(end))
    rest = rest.removesuffix(traffic)
    scope = next(begin for begin in _SCOPES if rest.startswith(begin))
    if (counted := _COUNTED.get(rest.removeprefix(scope))) is None:
        return None
    event, amount = counted
    conditions = [f"event_subtype = '{event}'", new, _SCOPES[scope], _TRAFFIC[traffic]]
    return f"CASE WHEN {' AND '.join(filter(None, conditions))} THEN {amount} ELSE 0 END"
