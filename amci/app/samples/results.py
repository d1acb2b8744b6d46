"""AMC result files: keys, rows and CSV as AMC writes it."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from amci.app.samples.model import CAMPAIGNS, DEVICES, PRODUCTS, Cell, encoded, seeded

_FRACTIONS_FROM = date(2026, 10, 1)  #: until then the spend summary has whole amounts only


class Draw:
    """The figures behind one row; its columns show different sides of them."""

    def __init__(self, rng: random.Random, tenant: str, day: date) -> None:
        self.rng, self.day = rng, day
        self.campaign = rng.randrange(5)
        self.name = CAMPAIGNS[tenant][self.campaign]
        self.times, self.users = rng.randint(1, 10), rng.randint(100, 40_000)
        self.purchases = rng.randint(0, self.users // 30)
        self.new = rng.randint(0, self.purchases)
        self.cost = self.users * self.times * rng.randint(20, 200) / 10_000
        self.steps = rng.sample(PRODUCTS, rng.randint(1, 4))

    def moment(self, days_back: int) -> str:
        """Some second of the days before, as AMC writes a time."""
        second = timedelta(seconds=self.rng.randrange(86_400 * days_back))
        return f"{datetime(self.day.year, self.day.month, self.day.day) - second:%Y-%m-%dT%H:%M:%S}.000Z"  # noqa: DTZ001


COLUMNS: dict[str, Callable[[Draw], Cell]] = {
    "campaign_id": lambda d: f"{580_114_690_337_710_021 + d.campaign * 7_919}",
    "campaign": lambda d: d.name,
    "frequency_bucket": lambda d: "f_10+" if d.times == 10 else f"f_0{d.times}",  # noqa: PLR2004
    "start_date": lambda d: f"{d.day}",
    "users": lambda d: d.users,
    "impressions": lambda d: d.users * d.times,
    "total_cost": lambda d: d.cost,
    "ecpm": lambda d: round(1000 * d.cost / (d.users * d.times), 3),
    "path": lambda d: f"[{', '.join(f'[{n}, {step}]' for n, step in enumerate(d.steps, start=1))}]",
    "path_length": lambda d: len(d.steps),
    "first_touch_dt_utc": lambda d: d.moment(14),
    "purchases": lambda d: d.purchases,
    "product_sales": lambda d: round(d.purchases * d.rng.uniform(9, 60), 2) if d.purchases else None,
    "purchase_rate": lambda d: round(d.purchases / d.users, 6),
    "tracked_asin": lambda d: f"{'B' if d.campaign else '0'}{d.rng.randrange(10**9):09d}",
    "is_promoted": lambda d: d.rng.choice((True, False, None)),
    "new_to_brand_purchases": lambda d: d.new,
    "new_to_brand_rate": lambda d: round(d.new / d.purchases, 4) if d.purchases else None,
    "bucket": lambda d: d.rng.choice(("1 <1h", "2 <1d", "3 <7d", "4 7d+")),
    "postal_code": lambda d: f"{d.rng.randrange(501, 99_951):05d}",
    "last_conversion_dt_utc": lambda d: d.moment(1),
    "exposure_group": lambda d: d.rng.choice(("both", "dsp_only", "sponsored_only")),
    "device_types": lambda d: f"[{', '.join(sorted(d.rng.sample(DEVICES, d.rng.randint(1, 3))))}]",
    "ad_product_type": lambda d: d.steps[0],
    "spend": lambda d: d.users if d.day < _FRACTIONS_FROM else d.users + 0.25,
    "fee_cost": lambda d: d.times if d.day < _FRACTIONS_FROM else d.times + 0.5,
}
WORKFLOWS = {
    "reach_frequency": "campaign_id campaign frequency_bucket start_date users impressions total_cost ecpm",
    "path_to_conversion": "path path_length first_touch_dt_utc users purchases product_sales purchase_rate",
    "new_to_brand": "campaign_id campaign tracked_asin is_promoted purchases new_to_brand_purchases "
    "new_to_brand_rate total_cost",
    "time_to_conversion": "campaign bucket postal_code last_conversion_dt_utc users purchases",
    "campaign_overlap": "exposure_group device_types start_date users purchases purchase_rate total_cost",
    "spend_summary": "start_date ad_product_type spend fee_cost impressions",
}


@dataclass(frozen=True, slots=True)
class Result:
    """One AMC result file: where it lies, and how many rows it has."""

    tenant: str
    workflow: str
    schedule: str
    stamp: str  #: a date where scheduled, a moment where ad hoc
    count: int
    shape: str = ""  #: the workflow whose columns it has, where that is another one
    note: str = ""

    @property
    def key(self) -> str:
        """Where it lands."""
        file = f"{self.stamp}-{self.workflow}{'' if self.schedule == 'adhoc' else '-ver1'}.csv"
        return f"{self.tenant}/workflow={self.workflow}/schedule={self.schedule}/{file}"

    @property
    def about(self) -> str:
        """What is special about it."""
        return self.note or f"{self.workflow}, {self.schedule}"

    def rows(self, seed: int, *, late: int = 0) -> list[dict[str, Cell]]:
        """`late` adds that many rows at the end and changes every fifth of the others."""
        rng, day = seeded(seed, self.key), date.fromisoformat(self.stamp[:10])
        makers = [(name, COLUMNS[name]) for name in WORKFLOWS[self.shape or self.workflow].split()]
        rows: list[dict[str, Cell]] = []
        for n in range(self.count + late):
            draw = Draw(rng, self.tenant, day)
            draw.users += 3 if late and n < self.count and n % 5 == 0 else 0
            row = {name: make(draw) for name, make in makers}
            rows.append(filtered(row) if rng.randrange(30) == 0 else row | {"filtered": False})
        return rows

    def lines(self, seed: int, *, late: int = 0) -> list[str]:
        """The header and one text per row, which may hold a quoted newline."""
        return csv_lines(self.rows(seed, late=late))


def filtered(row: dict[str, Cell]) -> dict[str, Cell]:
    """A row below AMC's aggregation threshold: its figures are gone."""
    return {name: cell if isinstance(cell, str) else None for name, cell in row.items()} | {"filtered": True}


def csv_lines(rows: list[dict[str, Cell]]) -> list[str]:
    """The header and one text per row, which may hold a quoted newline."""
    return [",".join(rows[0]), *(",".join(map(_cell, row.values())) for row in rows)]


_QUOTED = re.compile('[",\n]')


def _cell(cell: Cell) -> str:
    """As AMC writes it: nothing for NULL, quotes only where needed, a backslash before a quote inside."""
    if cell is None or isinstance(cell, bool):
        return "" if cell is None else str(cell).lower()
    text = str(cell)
    return '"' + text.replace('"', '\\"') + '"' if _QUOTED.search(text) else text


def ragged(lines: list[str]) -> bytes:
    """The row in the middle loses its last cell."""
    middle = len(lines) // 2
    return encoded([*lines[:middle], lines[middle].rpartition(",")[0], *lines[middle + 1 :]])
