"""Amazon Ads and Selling Partner report files."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from datetime import date, timedelta

from amci.app.samples.model import CAMPAIGNS, TENANTS, gzipped, seeded


@dataclass(frozen=True, slots=True)
class Report:
    """One report file: its table, its id, and how many rows its main list has."""

    dataset: str
    table: str
    number: str
    count: int
    ending: str = ".json.gz"
    note: str = ""

    @property
    def key(self) -> str:
        """Where it lands."""
        return f"adtech/{self.dataset}/{self.table}/report-{self.number}{self.ending}"

    @property
    def about(self) -> str:
        """What is special about it."""
        return self.note or f"{self.table} report"

    def content(self, seed: int, *, late: int = 0) -> bytes:
        """`late` adds that many rows at the end and changes every fifth of the others."""
        rng = seeded(seed, self.key)
        more = [3 if late and n < self.count and n % 5 == 0 else 0 for n in range(self.count + late)]
        document: object
        if self.dataset == "ads_report":
            document = [_ads_row(rng, self.table, n, extra) for n, extra in enumerate(more)]
        else:
            document = _sales_and_traffic(rng, more, with_asins=not self.note)
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
        return gzipped(text) if self.ending.endswith(".gz") else text


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
        "campaignName": CAMPAIGNS[TENANTS[campaign % 3]][campaign // 3],
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
