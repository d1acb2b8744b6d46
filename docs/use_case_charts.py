"""Which chart each use case has, and which of its columns the chart shows."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import charts

_MOST = 12  # bars of a chart
_LONGEST = 52  # letters of a label
_SHORT = {
    "dsp": "DSP",
    "sponsored_products": "SP",
    "sponsored_brands": "SB",
    "sponsored_display": "SD",
    "sponsored_television": "STV",
}
_WEEKDAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")


class Result(Protocol):
    """What a chart asks of a result."""

    def column(self, name: str) -> list[str]:
        """The cells of one column."""

    def numbers(self, name: str) -> list[float]:
        """The cells of one column as numbers."""


Drawing = Callable[[Path, Result], None]


def draw(slug: str, result: Result, path: Path) -> None:
    """Draw the chart of a use case."""
    _DRAWINGS[slug](path, result)


def _label(*cells: str) -> str:
    """Cells as one label: arrays without their brackets, rows without their first cell, which is their place."""
    text = " · ".join(_words(cell) for cell in cells if cell)
    for name, short in _SHORT.items():
        text = text.replace(name, short)
    text = text.replace("_", " ")
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _words(cell: str) -> str:
    if steps := re.findall(r"\[\d+, ([^\[\]]*)\]", cell):
        return " → ".join(steps)
    return cell[1:-1].replace(", ", " + ") if cell.startswith("[") else cell


def _labels(result: Result, *names: str) -> list[str]:
    return [_label(*cells) for cells in zip(*map(result.column, names), strict=True)][:_MOST]


def _bars(
    names: tuple[str, ...], value: str, axis: str, shown: str, reference: tuple[float, str] | None = None
) -> Drawing:
    def drawing(path: Path, result: Result) -> None:
        values = result.numbers(value)[:_MOST]
        charts.bars(path, _labels(result, *names), values, axis=axis, shown=shown, reference=reference)

    return drawing


def _parts(names: tuple[str, ...], part: tuple[str, str], whole: tuple[str, str], axis: str) -> Drawing:
    """Parts before wholes: column and word of each."""

    def drawing(path: Path, result: Result) -> None:
        behind = (result.numbers(whole[0])[:_MOST], whole[1], part[1])
        values = result.numbers(part[0])[:_MOST]
        charts.bars(path, _labels(result, *names), values, axis=axis, shown="{:,.0f}", whole=behind)

    return drawing


def _summed(names: tuple[str, ...], value: str, axis: str, *, is_ordered: bool = False) -> Drawing:
    """Rows of one label added up, the most first, or in the order of the labels."""

    def drawing(path: Path, result: Result) -> None:
        sums: dict[str, float] = defaultdict(float)
        for cells, number in zip(
            zip(*map(result.column, names), strict=True), result.numbers(value), strict=True
        ):
            if all(cells):
                sums[_label(*cells)] += number
        found = sorted(sums.items(), key=lambda item: (is_ordered or -item[1], item[0]))[:_MOST]
        charts.bars(path, [k for k, _ in found], [v for _, v in found], axis=axis, shown="{:,.0f}")

    return drawing


def _frequency(path: Path, result: Result) -> None:
    labels = result.column("frequency")
    charts.columns(
        path,
        [*labels[:-1], f"{labels[-1]}+"],
        result.numbers("purchase_rate"),
        across="impressions that a user saw",
        axis="purchase rate, % of users",
        shown="{:.0%}",
    )


def _attribution(path: Path, result: Result) -> None:
    pairs = zip(result.numbers("first_touch_sales"), result.numbers("last_touch_sales"), strict=True)
    charts.dots(
        path,
        _labels(result, "campaign", "ad_product"),
        list(pairs)[:_MOST],
        axis="attributed sales, USD",
        names=("first touch", "last touch"),
    )


def _daypart(path: Path, result: Result) -> None:
    days, hours = result.numbers("day_of_week"), result.numbers("from_hour")
    sales = dict(zip(zip(days, hours, strict=True), result.numbers("sales"), strict=True))
    heads = sorted(set(hours))
    charts.heat(
        path,
        _WEEKDAYS,
        [f"from {hour:02.0f}:00" for hour in heads],
        [[sales.get((day, hour)) for hour in heads] for day in range(1, 8)],
        across="hour of the purchase, the advertiser's time zone",
        axis="sales, USD",
        shown="{:,.0f}",
    )


_RATE = "purchase rate, % of users"
_DRAWINGS: Mapping[str, Drawing] = {
    "path_to_conversion": _bars(("path",), "purchase_rate", _RATE, "{:.1%}"),
    "reach_and_frequency": _frequency,
    "exposure_overlap": _bars(("channels",), "purchase_rate", _RATE, "{:.1%}"),
    "new_to_brand": _parts(
        ("campaign", "ad_product"),
        ("new_to_brand_purchases", "new to brand"),
        ("purchases", "purchases"),
        "purchases",
    ),
    "time_to_conversion": _summed(("time_to_purchase",), "purchases", "purchases", is_ordered=True),
    "geo_reach_and_sales": _summed(("dma_code",), "sales", "sales, USD"),
    "device_mix": _bars(("devices",), "purchase_rate", _RATE, "{:.1%}"),
    "segment_performance": _bars(
        ("segment",), "purchase_index", "purchase rate, all users are 100", "{:,.0f}", (100, "all users")
    ),
    "custom_attribution": _attribution,
    "incremental_reach": _bars(("reached_by",), "user_share", "share of all users reached", "{:.1%}"),
    "daypart": _daypart,
    "cross_purchase": _bars(
        ("bought_asin", "also_asin"), "lift", "times as often as by chance", "{:.1f}", (1, "by chance")
    ),
    "search_terms": _bars(
        ("search_term", "match_type"), "roas", "sales for each unit of cost", "{:.1f}", (1, "cost")
    ),
    "customer_lifetime_value": _bars(("cohort", "won"), "lifetime_value", "sales a customer, USD", "{:,.0f}"),
    "cart_abandoners": _parts(
        ("since_last_cart",), ("abandoners", "bought nothing"), ("cart_users", "had it in the cart"), "users"
    ),
    "cost_and_roas": _bars(
        ("campaign", "ad_product"), "roas", "sales for each unit of cost", "{:.1f}", (1, "cost")
    ),
    "brand_store": _parts(
        ("store_name", "page_title"), ("buyers", "bought afterwards"), ("visitors", "visitors"), "users"
    ),
}
