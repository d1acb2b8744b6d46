from __future__ import annotations

import gzip
import json
import re
from typing import Any

import pytest

from amci.app.samples import Sample

from .delivered import about, first, second, table, text


def amc(expect: str, among: list[Sample]) -> list[Sample]:
    return [sample for sample in among if sample.expect == expect and "/workflow=" in sample.key]


def reports(dataset: str) -> list[Any]:
    return [json.loads(text(sample)) for sample in first() if f"/{dataset}/" in sample.key]


def columns_of(dataset_rows: list[dict[str, Any]]) -> dict[str, set[type]]:
    return {name: {type(row[name]) for row in dataset_rows} for name in dataset_rows[0]}


def test_results_to_be_loaded_are_rectangular_and_have_rows() -> None:
    for sample in amc("loaded", first() + second()):
        header, *rows = table(text(sample))
        assert len(set(header)) == len(header), sample.key
        assert header[-1] == "filtered", sample.key
        assert {len(row) for row in rows} == {len(header)}, sample.key
        assert any(row[-1] == "false" for row in rows), sample.key


def test_results_of_one_workflow_have_the_same_columns() -> None:
    headers: dict[str, set[tuple[str, ...]]] = {}
    for sample in amc("loaded", first() + second()):
        headers.setdefault(sample.key.split("/")[1], set()).add(tuple(table(text(sample))[0]))
    assert {len(found) for found in headers.values()} == {1}


def test_the_results_hold_what_makes_amc_files_hard() -> None:
    texts = [text(sample) for sample in amc("loaded", first())]
    columns: dict[str, set[str]] = {}
    for written in texts:
        header, *rows = table(written)
        for name, *cells in zip(header, *rows, strict=True):
            columns.setdefault(name, set()).update(cells)
    everything = "\n".join(texts)
    assert '\\"' in everything
    assert any("\n" in cell for cell in columns["campaign"])
    assert any("," in cell for cell in columns["campaign"])
    assert any('"' in cell for cell in columns["campaign"])
    assert any("\\" in cell for cell in columns["campaign"])
    assert any(cell.startswith("0") for cell in columns["postal_code"])
    assert all(re.fullmatch(r"\d{5}", cell) for cell in columns["postal_code"])
    assert any(re.fullmatch(r"0\d{9}", cell) for cell in columns["tracked_asin"])
    assert columns["is_promoted"] == {"true", "false", ""}
    assert columns["filtered"] == {"true", "false"}
    assert "" in columns["total_cost"]
    assert any(re.fullmatch(r"\d+\.\d{3,}", cell) for cell in columns["total_cost"])
    assert "[Connected TV, PC]" in columns["device_types"]
    assert "[[1, sponsored_tv]]" in columns["path"]
    assert all(
        re.fullmatch(r"2026-\d\d-\d\dT\d\d:\d\d:\d\d\.000Z", cell) for cell in columns["first_touch_dt_utc"]
    )
    assert all(re.fullmatch(r"2026-\d\d-\d\d", cell) for cell in columns["start_date"])


def test_the_filtered_file_has_only_filtered_rows() -> None:
    header, *rows = table(text(about("all rows filtered", first())))
    assert len(rows) > 100
    assert {row[-1] for row in rows} == {"true"}
    assert {row[header.index("total_cost")] for row in rows} == {""}


def test_the_empty_files_are_a_header_and_an_array() -> None:
    assert len(table(text(about("header only", first())))) == 1
    assert json.loads(text(about("empty JSON array", first()))) == []


def test_the_single_row_is_a_small_file_without_a_last_newline() -> None:
    sample = about("no newline", first())
    assert len(table(text(sample))) == 2
    assert sample.content.count(b"\n") == 1
    assert not sample.content.endswith(b"\n")
    assert len(sample.content) < 1000


def test_costs_are_whole_first_and_have_fractions_later() -> None:
    whole, parts = about("whole-number", first()), about("fractions", second())
    assert whole.key.rpartition("/")[0] == parts.key.rpartition("/")[0]
    assert whole.key < parts.key
    for sample, pattern in ((whole, r"\d+"), (parts, r"\d+\.\d+")):
        header, *rows = table(text(sample))
        for name in ("spend", "fee_cost"):
            cells = {row[header.index(name)] for row in rows} - {""}
            assert len(cells) > 5
            assert all(re.fullmatch(pattern, cell) for cell in cells)


def test_the_odd_encodings_are_what_they_say() -> None:
    latin = about("Latin-1", first()).content
    with pytest.raises(UnicodeDecodeError):
        latin.decode()
    assert "Señor" in latin.decode("latin-1")
    assert "café" in about("UTF-16", first()).content.decode("utf-16")


def test_the_cut_gzip_cannot_be_read_to_its_end() -> None:
    with pytest.raises(EOFError):
        gzip.decompress(about("cut off", first()).content)


def test_ads_reports_are_flat_and_mix_integers_with_fractions() -> None:
    for rows in filter(None, reports("ads_report")):
        types = columns_of(rows)
        assert {
            "date",
            "campaignId",
            "impressions",
            "clicks",
            "cost",
            "purchases14d",
            "sales14d",
        } <= types.keys()
        assert types["cost"] == types["sales14d"] == {int, float}
        assert not any(kinds & {dict, list} for kinds in types.values())
        assert max(row["campaignId"] for row in rows) > 10**14
    names = [row["campaignName"] for rows in reports("ads_report") for row in rows]
    assert any("\n" in name for name in names)


def test_sales_and_traffic_reports_nest_amounts_in_two_lists() -> None:
    found = reports("sp_report")
    for report in found:
        assert set(report) == {"reportSpecification", "salesAndTrafficByDate", "salesAndTrafficByAsin"}
        sales = [row["salesByDate"]["orderedProductSales"] for row in report["salesAndTrafficByDate"]]
        assert {frozenset(money) for money in sales} == {frozenset({"amount", "currencyCode"})}
        assert {type(money["amount"]) for money in sales} == {int, float}
    assert [len(report["salesAndTrafficByAsin"]) > 0 for report in found] == [False, True, True]
    (plain,) = [s for s in first() if "/sp_report/" in s.key and s.key.endswith(".json")]
    assert plain.content.startswith(b"{")


def orders(among: list[Sample]) -> dict[str, list[list[str]]]:
    """Shop orders by what is said of them, as cells."""
    return {s.about: [line.split(";") for line in text(s).splitlines()] for s in among if "/shop/" in s.key}


def test_shop_orders_end_in_a_total_of_their_quantities() -> None:
    for lines in (orders(first()) | orders(second())).values():
        header, *rows, total = lines
        quantity = header.index("Quantity")
        assert {len(row) for row in (*rows, total)} == {len(header)}
        assert total[0] == "TOTAL"
        assert int(total[quantity]) == sum(int(row[quantity]) for row in rows)


def test_the_spoilt_orders_have_two_bad_quantities_and_a_repeated_line_and_are_mended_later() -> None:
    header, *rows, _ = orders(first())["shop orders; quality rules keep three rows out"]
    quantity = header.index("Quantity")
    assert sum(int(row[quantity]) < 1 for row in rows) == 2
    assert len(rows) - len({(row[0], row[1]) for row in rows}) == 1
    header, *mended, _ = orders(second())["shop orders, the bad rows mended"]
    assert len(mended) == len(rows) - 1
    assert all(int(row[quantity]) > 0 for row in mended)


def test_one_shop_order_lacks_its_id() -> None:
    _, *rows, _ = orders(first())["shop orders, one without its id"]
    assert sum(row[0] == "" for row in rows) == 1


def test_a_closed_day_has_no_orders() -> None:
    assert len(orders(first())["shop orders of a closed day: a total only"]) == 2
