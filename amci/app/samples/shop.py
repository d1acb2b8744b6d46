"""Order files of the tenants' own shops, read by the example project's dataset `shop_orders`."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from amci.app.samples.model import Sample, encoded, seeded

_COLUMNS = (
    *("Order ID", "Line", "Ordered At", "Shipped At", "SKU", "Quantity", "Unit Price", "Currency", "Status"),
    *("Customer Name", "Customer Email", "Customer Phone"),
)
_FIRST_NAMES = ("Alma", "Bruno", "Chiara", "Dmitri", "Eïlis", "Farid", "Greta", "Hugo")
_LAST_NAMES = ("Abbott", "Bergström", "Castillo", "Dubois", "Eriksen", "Faure")
_PRICES = (4.5, 9, 12.95, 24.9, 49, 119.99)


@dataclass(frozen=True, slots=True)
class _Day:
    """One day's file of one shop; every order has one or two lines, the last line of the file is a total."""

    tenant: str
    day: date
    orders: int

    @property
    def key(self) -> str:
        return f"{self.tenant}/shop/orders/orders-{self.day}.csv"

    def rows(self, seed: int) -> list[dict[str, str]]:
        rng = seeded(seed, self.key)
        return [
            self._row(rng, n, line) for n in range(self.orders) for line in range(1, 1 + rng.randint(1, 2))
        ]

    def _row(self, rng: random.Random, n: int, line: int) -> dict[str, str]:
        ordered = datetime(self.day.year, self.day.month, self.day.day) + timedelta(  # noqa: DTZ001
            seconds=60 * n + line
        )
        status = rng.choice(("shipped", "shipped", "open", "cancelled", "returned"))
        is_sent = status in ("shipped", "returned")
        name = f"{rng.choice(_FIRST_NAMES)} {rng.choice(_LAST_NAMES)}"
        cells = (
            f"{self.day:%y%m%d}-{n:05d}",
            f"{line}",
            f"{ordered:%Y-%m-%d %H:%M:%S}",
            f"{ordered + timedelta(hours=rng.randint(2, 70)):%Y-%m-%d %H:%M:%S}" if is_sent else "",
            f"{rng.randrange(900):05d}",
            f"{rng.randint(1, 5)}",
            f"{rng.choice(_PRICES)}",
            rng.choice(("USD", "USD", "EUR")),
            status,
            name,
            f"Customer+{rng.randrange(400)}@Example.com",
            f"+1 555 01{rng.randrange(100):02d}",
        )
        return dict(zip(_COLUMNS, cells, strict=True))


def _written(rows: list[dict[str, str]]) -> bytes:
    """As the shop writes it: semicolons, and a last line with the sum of the quantities."""
    total = dict.fromkeys(_COLUMNS, "") | {
        "Order ID": "TOTAL",
        "Quantity": str(sum(int(row["Quantity"]) for row in rows)),
    }
    return encoded([";".join(_COLUMNS), *(";".join(row.values()) for row in (*rows, total))])


_DAYS = [
    _Day("northwind-outdoor", date(2026, 10, 1), 180),
    _Day("northwind-outdoor", date(2026, 11, 2), 150),
    _Day("blue-kettle", date(2026, 10, 1), 220),
]
_MENDED = _Day("blue-kettle", date(2026, 10, 2), 90)
_CLOSED = _Day("blue-kettle", date(2026, 10, 4), 0)
_NAMELESS = _Day("atlas_pets", date(2026, 10, 1), 40)


def first_orders(seed: int) -> list[Sample]:
    """Orders that load, some with rows that a rule keeps out; a closed day; and a file that lacks an id."""
    spoilt = _MENDED.rows(seed)
    spoilt[3] |= {"Quantity": "0"}
    spoilt[7] |= {"Quantity": "-2"}
    spoilt.append(dict(spoilt[11]))
    nameless = _NAMELESS.rows(seed)
    nameless[5] |= {"Order ID": ""}
    return [
        *(Sample(d.key, _written(d.rows(seed)), "shop orders", "loaded") for d in _DAYS),
        Sample(_MENDED.key, _written(spoilt), "shop orders; quality rules keep three rows out", "loaded"),
        Sample(_CLOSED.key, _written([]), "shop orders of a closed day: a total only", "skipped"),
        Sample(_NAMELESS.key, _written(nameless), "shop orders, one without its id", "quarantined"),
    ]


def second_orders(seed: int) -> list[Sample]:
    """The file with bad rows again, mended."""
    return [Sample(_MENDED.key, _written(_MENDED.rows(seed)), "shop orders, the bad rows mended", "replaced")]
