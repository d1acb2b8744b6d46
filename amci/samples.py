"""Invented Amazon files for `amci demo`, the tests and the bench: the same seed gives the same bytes.

Tenants, campaigns and figures are made up. Keys and shapes follow the public guides to AMC result files,
Amazon Ads version 3 reports and Selling Partner Sales and Traffic reports.
"""

from __future__ import annotations

import gzip
import json
import random
import re
import struct
from codecs import BOM_UTF16_LE
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Literal

from amci.files import storage_errors

Expect = Literal["loaded", "skipped", "quarantined", "replaced"]
Cell = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Sample:
    """One file as it arrives."""

    key: str  #: POSIX path below the raw root
    content: bytes
    about: str  #: what is special about it, one phrase
    expect: Expect  #: what should become of it


def first_delivery(seed: int = 7) -> list[Sample]:
    """Some fifty files of three tenants, a few of them odd or broken; no two share a key."""
    regular = [Sample(r.key, _encoded(r.lines(seed)), r.about, "loaded") for r in _REGULAR]
    reports = [Sample(r.key, r.content(seed), r.about, "loaded") for r in _REPORTS]
    return [*regular, *_odd_results(seed), *reports]


def second_delivery(seed: int = 7) -> list[Sample]:
    """What comes after `first_delivery` of the same seed: known keys with other bytes, and one new key."""
    late, fewer, *_, spoilt = _REGULAR
    ads, *_, sp = _REPORTS
    return [
        Sample(
            late.key, _encoded(late.lines(seed, late=25)), "re-delivered: changed and new rows", "replaced"
        ),
        Sample(fewer.key, _encoded(fewer.lines(seed)[:-40]), "re-delivered: forty rows fewer", "replaced"),
        Sample(ads.key, ads.content(seed, late=12), "re-delivered: changed and new rows", "replaced"),
        Sample(sp.key, sp.content(seed, late=3), "re-delivered: changed and new rows", "replaced"),
        Sample(
            spoilt.key, _ragged(spoilt.lines(seed)), "re-delivered ragged: the old rows stay", "quarantined"
        ),
        Sample(_RAGGED.key, _encoded(_RAGGED.lines(seed)), "the ragged file, mended", "loaded"),
        Sample(_EMPTY.key, _encoded(_EMPTY.lines(seed)), "the header-only file, now with rows", "loaded"),
        Sample(_FRACTIONS.key, _encoded(_FRACTIONS.lines(seed)), _FRACTIONS.about, "loaded"),
    ]


def write(root: Path, samples: Iterable[Sample]) -> None:
    """Put each sample below `root` at its key; a file that is there already is replaced.

    Raises StorageError where the disk refuses.
    """
    for sample in samples:
        with _arriving(root / sample.key) as file:
            file.write(sample.content)


def many_small(root: Path, files: int, rows: int, seed: int = 7) -> None:
    """Write `files` ad hoc AMC results of one workflow and one tenant below `root`, `rows` rows each.

    Raises StorageError where the disk refuses.
    """
    rng = _rng(seed, "many_small")
    tails = _tails(rng, len(_BENCH_COLUMNS))
    begin = datetime(2026, 9, 1)  # noqa: DTZ001 - only its text is used, and that says Z
    for n in range(files):
        stamp = (begin + timedelta(milliseconds=1_117 * n)).isoformat(timespec="milliseconds")
        result = _Result("blue-kettle", "daily_delivery", "adhoc", f"{stamp}Z", rows)
        with _arriving(root / result.key) as file:
            file.write(_header(len(_BENCH_COLUMNS)) + _block(rng, rows, tails))


def one_big(path: Path, rows: int, columns: int = 12, seed: int = 7) -> None:
    """Write one AMC-like CSV of `rows` rows: 30 dates, impressions and costs that seldom repeat.

    `columns` is 4 or more; those past the twelfth are whole numbers. Twelve take some 105 bytes a row.
    Raises StorageError where the disk refuses, ValueError for too few columns.
    """
    if columns <= _VARIED:
        raise ValueError(f"columns must be more than {_VARIED}, not {columns}")
    rng = _rng(seed, "one_big")
    tails = _tails(rng, columns)
    with _arriving(path) as file:
        file.write(_header(columns))
        for done in range(0, rows, _BLOCK_ROWS):
            file.write(_block(rng, min(_BLOCK_ROWS, rows - done), tails))


@contextmanager
def _arriving(path: Path) -> Iterator[BinaryIO]:
    """Written under a name that is never taken, then renamed; not fsynced, for a sample can be made again."""
    part = path.with_name(f".{path.name}.part")
    with storage_errors(f"write {path.name}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("wb") as file:
                yield file
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def _rng(seed: int, name: str) -> random.Random:
    """Seeded by the name too, so that one file does not change when another is added."""
    return random.Random(f"{seed}/{name}")  # noqa: S311 - sample data, nothing secret


# ---- AMC results

_TENANTS = ("northwind-outdoor", "blue-kettle", "atlas_pets")
_CAMPAIGNS = {
    "northwind-outdoor": ("Tents, autumn", 'The "Summit" jacket', "Stoves", "Lanterns\nwave 2", "Trail café"),
    "blue-kettle": ("Kettles always on", 'Say "tea, please"', "Filter jugs", "Gifts\nDecember", "Thé vert"),
    "atlas_pets": ("Leads, harnesses", 'Puppy "starter" box', "Cat trees", "Treats\\retarget", "Señor Gato"),
}
_PRODUCTS = ("amazon_dsp", "sponsored_brands", "sponsored_display", "sponsored_products", "sponsored_tv")
_DEVICES = ("Connected TV", "PC", "Phone", "Tablet")
_FRACTIONS_FROM = date(2026, 10, 1)  #: until then the spend summary has whole amounts only


class _Draw:
    """The figures behind one row; its columns show different sides of them."""

    def __init__(self, rng: random.Random, tenant: str, day: date) -> None:
        self.rng, self.day = rng, day
        self.campaign = rng.randrange(5)
        self.name = _CAMPAIGNS[tenant][self.campaign]
        self.times, self.users = rng.randint(1, 10), rng.randint(100, 40_000)
        self.purchases = rng.randint(0, self.users // 30)
        self.new = rng.randint(0, self.purchases)
        self.cost = self.users * self.times * rng.randint(20, 200) / 10_000
        self.steps = rng.sample(_PRODUCTS, rng.randint(1, 4))

    def moment(self, days_back: int) -> str:
        second = timedelta(seconds=self.rng.randrange(86_400 * days_back))
        return f"{datetime(self.day.year, self.day.month, self.day.day) - second:%Y-%m-%dT%H:%M:%S}.000Z"  # noqa: DTZ001


_COLUMNS: dict[str, Callable[[_Draw], Cell]] = {
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
    "device_types": lambda d: f"[{', '.join(sorted(d.rng.sample(_DEVICES, d.rng.randint(1, 3))))}]",
    "ad_product_type": lambda d: d.steps[0],
    "spend": lambda d: d.users if d.day < _FRACTIONS_FROM else d.users + 0.25,
    "fee_cost": lambda d: d.times if d.day < _FRACTIONS_FROM else d.times + 0.5,
}
_WORKFLOWS = {
    "reach_frequency": "campaign_id campaign frequency_bucket start_date users impressions total_cost ecpm",
    "path_to_conversion": "path path_length first_touch_dt_utc users purchases product_sales purchase_rate",
    "new_to_brand": "campaign_id campaign tracked_asin is_promoted purchases new_to_brand_purchases "
    "new_to_brand_rate total_cost",
    "time_to_conversion": "campaign bucket postal_code last_conversion_dt_utc users purchases",
    "campaign_overlap": "exposure_group device_types start_date users purchases purchase_rate total_cost",
    "spend_summary": "start_date ad_product_type spend fee_cost impressions",
}


@dataclass(frozen=True, slots=True)
class _Result:
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
        file = f"{self.stamp}-{self.workflow}{'' if self.schedule == 'adhoc' else '-ver1'}.csv"
        return f"{self.tenant}/workflow={self.workflow}/schedule={self.schedule}/{file}"

    @property
    def about(self) -> str:
        return self.note or f"{self.workflow}, {self.schedule}"

    def rows(self, seed: int, *, late: int = 0) -> list[dict[str, Cell]]:
        """`late` adds that many rows at the end and changes every fifth of the others."""
        rng, day = _rng(seed, self.key), date.fromisoformat(self.stamp[:10])
        makers = [(name, _COLUMNS[name]) for name in _WORKFLOWS[self.shape or self.workflow].split()]
        rows: list[dict[str, Cell]] = []
        for n in range(self.count + late):
            draw = _Draw(rng, self.tenant, day)
            draw.users += 3 if late and n < self.count and n % 5 == 0 else 0
            row = {name: make(draw) for name, make in makers}
            rows.append(_filtered(row) if rng.randrange(30) == 0 else row | {"filtered": False})
        return rows

    def lines(self, seed: int, *, late: int = 0) -> list[str]:
        """The header and one text per row, which may hold a quoted newline."""
        return _lines(self.rows(seed, late=late))


def _filtered(row: dict[str, Cell]) -> dict[str, Cell]:
    """A row below AMC's aggregation threshold: its figures are gone."""
    return {name: cell if isinstance(cell, str) else None for name, cell in row.items()} | {"filtered": True}


def _lines(rows: list[dict[str, Cell]]) -> list[str]:
    return [",".join(rows[0]), *(",".join(map(_cell, row.values())) for row in rows)]


_QUOTED = re.compile('[",\n]')


def _cell(cell: Cell) -> str:
    """As AMC writes it: nothing for NULL, quotes only where needed, a backslash before a quote inside."""
    if cell is None or isinstance(cell, bool):
        return "" if cell is None else str(cell).lower()
    text = str(cell)
    return '"' + text.replace('"', '\\"') + '"' if _QUOTED.search(text) else text


def _encoded(lines: list[str], encoding: str = "utf-8") -> bytes:
    return ("\n".join(lines) + "\n").encode(encoding)


def _ragged(lines: list[str]) -> bytes:
    """The row in the middle loses its last cell."""
    middle = len(lines) // 2
    return _encoded([*lines[:middle], lines[middle].rpartition(",")[0], *lines[middle + 1 :]])


_REGULAR = [
    _Result(tenant, workflow, schedule, stamp, count)
    for tenant in _TENANTS
    for workflow, schedule, stamp, count in (
        ("reach_frequency", "daily", "2026-09-21", 500),
        ("reach_frequency", "daily", "2026-09-22", 450),
        ("reach_frequency", "daily", "2026-10-05", 550),
        ("path_to_conversion", "weekly", "2026-09-28", 400),
        ("path_to_conversion", "weekly", "2026-10-05", 400),
        ("new_to_brand", "daily", "2026-09-30", 900),
        ("new_to_brand", "daily", "2026-10-01", 900),
        ("time_to_conversion", "weekly", "2026-10-12", 2_000),
        ("campaign_overlap", "adhoc", "2026-09-25T22:11:00.000Z", 250),
        ("campaign_overlap", "adhoc", "2026-10-25T01:30:07.481Z", 300),
    )
]
_RAGGED = _Result("blue-kettle", "reach_frequency", "daily", "2026-10-06", 360)
_EMPTY = _Result("blue-kettle", "new_to_brand", "daily", "2026-10-02", 300)
_FRACTIONS = _Result("atlas_pets", "spend_summary", "weekly", "2026-10-05", 220, note="costs with fractions")
_CONSOLE = "analytics-6f1c2b7e-94a3-4d58-8a60-2be7c3f1d905"


def _odd_results(seed: int) -> list[Sample]:
    whole = _Result("atlas_pets", "spend_summary", "weekly", "2026-09-28", 220)
    hidden = _Result("atlas_pets", "reach_frequency", "daily", "2026-10-06", 300)
    console = _Result("northwind-outdoor", _CONSOLE, "adhoc", "2026-10-02T09:15:42.007Z", 200, "new_to_brand")
    single = _Result("northwind-outdoor", "path_to_conversion", "daily", "2026-10-07", 1)
    packed = _Result("northwind-outdoor", "time_to_conversion", "adhoc", "2026-10-08T06:00:00.250Z", 1_500)
    cut = _Result("blue-kettle", "time_to_conversion", "adhoc", "2026-10-09T06:00:00.250Z", 800)
    month = _Result("blue-kettle", "campaign_overlap", "daily", "2026-11-13", 200)
    version = _Result("northwind-outdoor", "campaign_overlap", "weekly", "2026-10-12", 200)
    latin = _Result("atlas_pets", "new_to_brand", "adhoc", "2026-10-14T12:00:00.000Z", 300)
    wide = _Result("northwind-outdoor", "new_to_brand", "adhoc", "2026-10-15T12:00:00.000Z", 300)
    hidden_rows = [_filtered(row) for row in hidden.rows(seed)]
    utf16 = BOM_UTF16_LE + _encoded(wide.lines(seed), "utf-16-le")
    unrouted = "warehouse/stock_counts/weekly/stock-2026-40.csv"
    cut_gz = _gzipped(_encoded(cut.lines(seed)))
    empty = _Report("ads_report", "sponsored_display_campaigns", "00f3b6c9", 0)
    return [
        Sample(empty.key, empty.content(seed), "an empty JSON array", "skipped"),
        Sample(_RAGGED.key, _ragged(_RAGGED.lines(seed)), "ragged: one row is a cell short", "quarantined"),
        Sample(_EMPTY.key, _encoded(_EMPTY.lines(seed)[:1]), "header only", "skipped"),
        Sample(hidden.key, _encoded(_lines(hidden_rows)), "all rows filtered", "skipped"),
        Sample(console.key, _encoded(console.lines(seed)), "a result of the AMC console", "skipped"),
        Sample(single.key, _encoded(single.lines(seed))[:-1], "one row, no newline at its end", "loaded"),
        Sample(whole.key, _encoded(whole.lines(seed)), "whole-number costs; fractions come later", "loaded"),
        Sample(f"{packed.key}.gz", _gzipped(_encoded(packed.lines(seed))), "gzip", "loaded"),
        Sample(f"{cut.key}.gz", cut_gz[: len(cut_gz) // 2], "gzip, cut off half-way", "quarantined"),
        Sample(month.key.replace("-11-", "-13-"), _encoded(month.lines(seed)), "a month 13", "quarantined"),
        Sample(version.key.replace("-ver1", "-ver12"), _encoded(version.lines(seed)), "version 12", "loaded"),
        Sample(latin.key, _encoded(latin.lines(seed), "latin-1"), "Latin-1", "loaded"),
        Sample(wide.key, utf16, "UTF-16 with a byte order mark", "loaded"),
        Sample(unrouted, b"sku,on_hand\n00417,12\n00418,0\n", "a dataset nobody declared", "quarantined"),
    ]


# ---- Amazon Ads and Selling Partner reports


@dataclass(frozen=True, slots=True)
class _Report:
    """One report file: its table, its id, and how many rows its main list has."""

    dataset: str
    table: str
    number: str
    count: int
    ending: str = ".json.gz"
    note: str = ""

    @property
    def key(self) -> str:
        return f"adtech/{self.dataset}/{self.table}/report-{self.number}{self.ending}"

    @property
    def about(self) -> str:
        return self.note or f"{self.table} report"

    def content(self, seed: int, *, late: int = 0) -> bytes:
        """`late` adds that many rows at the end and changes every fifth of the others."""
        rng = _rng(seed, self.key)
        more = [3 if late and n < self.count and n % 5 == 0 else 0 for n in range(self.count + late)]
        document: object
        if self.dataset == "ads_report":
            document = [_ads_row(rng, self.table, n, extra) for n, extra in enumerate(more)]
        else:
            document = _sales_and_traffic(rng, more, with_asins=not self.note)
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
        return _gzipped(text) if self.ending.endswith(".gz") else text


def _gzipped(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def _number(value: float) -> float:
    """Whole amounts come without a fraction, so that one field mixes integers and fractions."""
    return int(value) if value == int(value) else value


def _ads_row(rng: random.Random, table: str, n: int, more: int) -> dict[str, object]:
    campaign, keyword = rng.randrange(15), rng.randrange(400)
    clicks = rng.randrange(120)
    purchases = rng.randint(0, clicks // 4)
    own: dict[str, object] = {"viewabilityRate": round(rng.random(), 4) if rng.randrange(4) else None}
    if table != "sponsored_display_campaigns":
        keywords = ("kettle", "tent 2 person", "cat tree", 'lead 6"', "やかん", "harness, small")
        own = {
            "adGroupId": 310_550_200_000_100 + campaign,
            "keywordId": 420_770_100_000_000 + keyword,
            "keyword": f"{keywords[keyword % 6]} {keyword:03d}",
            "matchType": ("BROAD", "EXACT", "PHRASE")[keyword % 3],
            "keywordBid": _number(round(rng.randint(4, 40) * 0.125, 3)),
        }
    return {
        "date": f"{date(2026, 9, 21) + timedelta(days=n % 14)}",
        "campaignId": 150_430_900_000_700 + campaign,
        "campaignName": _CAMPAIGNS[_TENANTS[campaign % 3]][campaign // 3],
        "campaignBudgetCurrencyCode": "USD",
        **own,
        "impressions": clicks * rng.randint(40, 300) + more,
        "clicks": clicks,
        "cost": _number(round(clicks * rng.randint(4, 40) * 0.125, 3)),
        "purchases14d": purchases,
        "sales14d": _number(round(purchases * rng.randint(20, 200) * 0.25, 2)),
    }


def _sales_and_traffic(rng: random.Random, more: list[int], *, with_asins: bool) -> dict[str, object]:
    """A Sales and Traffic report with one day, and three items, for each of `more`."""

    def sales(units: int) -> dict[str, object]:
        money = {"amount": _number(units * rng.randint(40, 400) / 4), "currencyCode": "USD"}
        return {"unitsOrdered": units, "orderedProductSales": money, "totalOrderItems": units // 2}

    def traffic(units: int) -> dict[str, object]:
        sessions, box = units * rng.randint(5, 30), _number(rng.randrange(800, 1_001) / 10)
        return {"pageViews": sessions + rng.randrange(90), "sessions": sessions, "buyBoxPercentage": box}

    days: list[object] = []
    items: list[object] = []
    for n, extra in enumerate(more):
        units = rng.randrange(300) + extra
        day = f"{date(2026, 9, 1) + timedelta(days=n)}"
        days.append({"date": day, "salesByDate": sales(units), "trafficByDate": traffic(units)})
        for asin in range(3 * n, 3 * n + 3) if with_asins else ():
            ids = {"parentAsin": f"B0PAR{n:05d}", "childAsin": f"B0CHD{asin:05d}", "sku": f"{asin:05d}"}
            items.append(ids | {"salesByAsin": sales(units // 3), "trafficByAsin": traffic(units // 3)})
    options = {"dateGranularity": "DAY", "asinGranularity": "CHILD"}
    specification = {"reportType": "GET_SALES_AND_TRAFFIC_REPORT", "reportOptions": options}
    lists = {"salesAndTrafficByDate": days, "salesAndTrafficByAsin": items}
    return {"reportSpecification": specification, **lists}


_REPORTS = [
    _Report("ads_report", "sponsored_products_keywords", "7c1f0a52", 1_200),
    _Report("ads_report", "sponsored_products_keywords", "b86e4d10", 1_000),
    _Report("ads_report", "sponsored_brands_keywords", "20d95c3f", 700),
    _Report("ads_report", "sponsored_display_campaigns", "e4a7180b", 500),
    _Report("sp_report", "sales_and_traffic", "50110020718", 30, note="a report with an empty list of items"),
    _Report("sp_report", "sales_and_traffic", "50110020719", 30, ending=".json"),
    _Report("sp_report", "sales_and_traffic", "50110020720", 60),
]


# ---- the bench

_VARIED = 3  #: the leading columns that are drawn for each row; the others come from a pool of tails
_BENCH_COLUMNS = (
    *("event_date", "impressions", "total_cost", "campaign_id", "campaign", "ad_product_type", "device_type"),
    *("iso_country_code", "postal_code", "clicks", "purchases", "is_new_to_brand"),
)
_BLOCK_ROWS = 50_000
_TAIL_BITS = 13


def _header(columns: int) -> bytes:
    more = (f"metric_{n}" for n in range(len(_BENCH_COLUMNS) + 1, columns + 1))
    return (",".join([*_BENCH_COLUMNS, *more][:columns]) + "\n").encode()


def _tails(rng: random.Random, columns: int) -> list[str]:
    """What follows the drawn columns of a row, ready made."""
    more = range(len(_BENCH_COLUMNS), columns)
    tails = []
    for _ in range(2**_TAIL_BITS):
        campaign = rng.randrange(300)
        cells = [
            f"{580_114_690_337_710_021 + campaign * 7_919}",
            f'"Always on, {campaign:03d}"',
            rng.choice(_PRODUCTS),
            rng.choice(_DEVICES),
            rng.choice(("US", "CA", "MX")),
            f"{rng.randrange(501, 99_951):05d}",
            f"{rng.randrange(900)}",
            f"{rng.randrange(90)}" if rng.randrange(10) else "",
            rng.choice(("true", "false")),
            *(f"{rng.randrange(10_000)}" for _ in more),
        ]
        tails.append("," + ",".join(cells[: columns - _VARIED]) + "\n")
    return tails


def _block(rng: random.Random, rows: int, tails: list[str]) -> bytes:
    """Some rows; 96 random bits for each, drawn at once, for this has to write ten million quickly."""
    days = [f"2026-09-{day:02d}," for day in range(1, 31)]
    bits = struct.unpack(f"<{3 * rows}I", rng.randbytes(12 * rows))
    pick = 32 - _TAIL_BITS
    lines = [
        f"{days[a % 30]}{b % 999_983 + 1},{(c % 9_000_000 + 1_000) / 100_000}{tails[a >> pick]}"
        for a, b, c in zip(bits[::3], bits[1::3], bits[2::3], strict=True)
    ]
    return "".join(lines).encode()
