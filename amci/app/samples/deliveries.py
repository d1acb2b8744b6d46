"""The two deliveries: regular files, odd ones and broken ones, each with what should become of it."""

from __future__ import annotations

from codecs import BOM_UTF16_LE

from amci.app.samples.model import TENANTS, Sample, encoded, gzipped
from amci.app.samples.reports import Report
from amci.app.samples.results import Result, csv_lines, filtered, ragged
from amci.app.samples.shop import first_orders, second_orders


def first_delivery(seed: int = 7) -> list[Sample]:
    """Nearly sixty files of three tenants, a few of them odd or broken; no two share a key."""
    regular = [Sample(r.key, encoded(r.lines(seed)), r.about, "loaded") for r in _REGULAR]
    reports = [Sample(r.key, r.content(seed), r.about, "loaded") for r in _REPORTS]
    return [*regular, *_odd_results(seed), *reports, *first_orders(seed)]


def second_delivery(seed: int = 7) -> list[Sample]:
    """What comes after `first_delivery` of the same seed: known keys with other bytes, and one new key."""
    late, fewer, *_, spoilt = _REGULAR
    ads, *_, sp = _REPORTS
    return [
        Sample(
            late.key, encoded(late.lines(seed, late=25)), "re-delivered: changed and new rows", "replaced"
        ),
        Sample(fewer.key, encoded(fewer.lines(seed)[:-40]), "re-delivered: forty rows fewer", "replaced"),
        Sample(ads.key, ads.content(seed, late=12), "re-delivered: changed and new rows", "replaced"),
        Sample(sp.key, sp.content(seed, late=3), "re-delivered: changed and new rows", "replaced"),
        Sample(
            spoilt.key, ragged(spoilt.lines(seed)), "re-delivered ragged: the old rows stay", "quarantined"
        ),
        Sample(_RAGGED.key, encoded(_RAGGED.lines(seed)), "the ragged file, mended", "loaded"),
        Sample(_EMPTY.key, encoded(_EMPTY.lines(seed)), "the header-only file, now with rows", "loaded"),
        Sample(_FRACTIONS.key, encoded(_FRACTIONS.lines(seed)), _FRACTIONS.about, "loaded"),
        *second_orders(seed),
    ]


_REGULAR = [
    Result(tenant, workflow, schedule, stamp, count)
    for tenant in TENANTS
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
_RAGGED = Result("blue-kettle", "reach_frequency", "daily", "2026-10-06", 360)
_EMPTY = Result("blue-kettle", "new_to_brand", "daily", "2026-10-02", 300)
_FRACTIONS = Result("atlas_pets", "spend_summary", "weekly", "2026-10-05", 220, note="costs with fractions")
_CONSOLE = "analytics-6f1c2b7e-94a3-4d58-8a60-2be7c3f1d905"


_REPORTS = [
    Report("ads_report", "sponsored_products_keywords", "7c1f0a52", 1_200),
    Report("ads_report", "sponsored_products_keywords", "b86e4d10", 1_000),
    Report("ads_report", "sponsored_brands_keywords", "20d95c3f", 700),
    Report("ads_report", "sponsored_display_campaigns", "e4a7180b", 500),
    Report("sp_report", "sales_and_traffic", "50110020718", 30, note="a report with an empty list of items"),
    Report("sp_report", "sales_and_traffic", "50110020719", 30, ending=".json"),
    Report("sp_report", "sales_and_traffic", "50110020720", 60),
]


def _odd_results(seed: int) -> list[Sample]:
    whole = Result("atlas_pets", "spend_summary", "weekly", "2026-09-28", 220)
    hidden = Result("atlas_pets", "reach_frequency", "daily", "2026-10-06", 300)
    console = Result("northwind-outdoor", _CONSOLE, "adhoc", "2026-10-02T09:15:42.007Z", 200, "new_to_brand")
    single = Result("northwind-outdoor", "path_to_conversion", "daily", "2026-10-07", 1)
    packed = Result("northwind-outdoor", "time_to_conversion", "adhoc", "2026-10-08T06:00:00.250Z", 1_500)
    cut = Result("blue-kettle", "time_to_conversion", "adhoc", "2026-10-09T06:00:00.250Z", 800)
    month = Result("blue-kettle", "campaign_overlap", "daily", "2026-11-13", 200)
    version = Result("northwind-outdoor", "campaign_overlap", "weekly", "2026-10-12", 200)
    latin = Result("atlas_pets", "new_to_brand", "adhoc", "2026-10-14T12:00:00.000Z", 300)
    wide = Result("northwind-outdoor", "new_to_brand", "adhoc", "2026-10-15T12:00:00.000Z", 300)
    hidden_rows = [filtered(row) for row in hidden.rows(seed)]
    utf16 = BOM_UTF16_LE + encoded(wide.lines(seed), "utf-16-le")
    unrouted = "warehouse/stock_counts/weekly/stock-2026-40.csv"
    cut_gz = gzipped(encoded(cut.lines(seed)))
    empty = Report("ads_report", "sponsored_display_campaigns", "00f3b6c9", 0)
    return [
        Sample(empty.key, empty.content(seed), "an empty JSON array", "skipped"),
        Sample(_RAGGED.key, ragged(_RAGGED.lines(seed)), "ragged: one row is a cell short", "quarantined"),
        Sample(_EMPTY.key, encoded(_EMPTY.lines(seed)[:1]), "header only", "skipped"),
        Sample(hidden.key, encoded(csv_lines(hidden_rows)), "all rows filtered", "skipped"),
        Sample(console.key, encoded(console.lines(seed)), "a result of the AMC console", "skipped"),
        Sample(single.key, encoded(single.lines(seed))[:-1], "one row, no newline at its end", "loaded"),
        Sample(whole.key, encoded(whole.lines(seed)), "whole-number costs; fractions come later", "loaded"),
        Sample(f"{packed.key}.gz", gzipped(encoded(packed.lines(seed))), "gzip", "loaded"),
        Sample(f"{cut.key}.gz", cut_gz[: len(cut_gz) // 2], "gzip, cut off half-way", "quarantined"),
        Sample(month.key.replace("-11-", "-13-"), encoded(month.lines(seed)), "a month 13", "quarantined"),
        Sample(version.key.replace("-ver1", "-ver12"), encoded(version.lines(seed)), "version 12", "loaded"),
        Sample(latin.key, encoded(latin.lines(seed), "latin-1"), "Latin-1", "loaded"),
        Sample(wide.key, utf16, "UTF-16 with a byte order mark", "loaded"),
        Sample(unrouted, b"sku,on_hand\n00417,12\n00418,0\n", "a dataset nobody declared", "quarantined"),
    ]
