from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from amci import samples
from amci.errors import StorageError
from amci.samples import Sample

FIRST = samples.first_delivery()
SECOND = samples.second_delivery()
BY_KEY = {sample.key: sample for sample in FIRST}
TENANTS = {"northwind-outdoor", "blue-kettle", "atlas_pets"}
AMC_KEY = re.compile(
    r"(northwind-outdoor|blue-kettle|atlas_pets)/workflow=([^/]+)/schedule=(daily|weekly|adhoc)/"
    r"(\d{4}-\d\d-\d\d|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)-([^/.]+)\.csv(\.gz)?"
)


def text(sample: Sample) -> str:
    content = gzip.decompress(sample.content) if sample.key.endswith(".gz") else sample.content
    if content.startswith(b"\xff\xfe"):
        return content.decode("utf-16")
    return content.decode("latin-1" if sample.about == "Latin-1" else "utf-8")


def table(written: str) -> list[list[str]]:
    """The cells of a CSV, quotes escaped by a backslash; other backslashes stand for themselves."""
    return list(csv.reader(io.StringIO(written.replace('\\"', '""'), newline=""), strict=True))


def about(words: str, among: list[Sample]) -> Sample:
    (found,) = [sample for sample in among if words in sample.about]
    return found


def amc(expect: str, among: list[Sample]) -> list[Sample]:
    return [sample for sample in among if sample.expect == expect and "/workflow=" in sample.key]


def reports(dataset: str) -> list[Any]:
    return [json.loads(text(sample)) for sample in FIRST if f"/{dataset}/" in sample.key]


def columns_of(dataset_rows: list[dict[str, Any]]) -> dict[str, set[type]]:
    return {name: {type(row[name]) for row in dataset_rows} for name in dataset_rows[0]}


def test_the_same_seed_gives_the_same_files_in_every_process() -> None:
    program = (
        "import hashlib; from amci import samples; h = hashlib.sha256()\n"
        "for s in samples.first_delivery() + samples.second_delivery():\n"
        "    h.update(f'{s.key}|{s.about}|{s.expect}|'.encode() + s.content)\n"
        "print(h.hexdigest())"
    )
    here = hashlib.sha256()
    for s in FIRST + SECOND:
        here.update(f"{s.key}|{s.about}|{s.expect}|".encode() + s.content)
    elsewhere = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONHASHSEED": "3", "TZ": "Asia/Tokyo"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert elsewhere.stdout.strip() == here.hexdigest()


def test_another_seed_gives_the_same_keys_with_other_rows() -> None:
    other = {sample.key: sample for sample in samples.first_delivery(8)}
    assert other.keys() == BY_KEY.keys()
    alike = {key for key, sample in other.items() if sample.content == BY_KEY[key].content}
    assert {BY_KEY[key].about for key in alike} == {
        "header only",
        "a dataset nobody declared",
        "an empty JSON array",
    }


def test_there_are_about_fifty_files_of_a_few_megabytes() -> None:
    assert 40 <= len(FIRST) <= 60
    assert 1_500_000 < sum(len(sample.content) for sample in FIRST) < 8_000_000


def test_keys_are_distinct_relative_posix_paths() -> None:
    for delivery in (FIRST, SECOND):
        assert len({sample.key for sample in delivery}) == len(delivery)
        for sample in delivery:
            path = PurePosixPath(sample.key)
            assert not path.is_absolute()
            assert ".." not in path.parts
            assert str(path) == sample.key
            assert not path.name.startswith(".")


def test_every_file_lies_where_amazon_or_the_raw_convention_puts_it() -> None:
    for sample in FIRST + SECOND:
        if "/workflow=" in sample.key:
            match = AMC_KEY.fullmatch(sample.key)
            assert match, sample.key
            _, workflow, schedule, stamp, stem, _ = match.groups()
            assert ("T" in stamp) == (schedule == "adhoc")
            assert re.fullmatch(re.escape(workflow) + ("" if schedule == "adhoc" else r"-ver\d+"), stem)
        elif sample.about != "a dataset nobody declared":
            assert re.fullmatch(
                r"adtech/(ads_report/[a-z_]+/report-[0-9a-f]+\.json\.gz"
                r"|sp_report/[a-z_]+/report-\d+\.json(\.gz)?)",
                sample.key,
            )


def test_the_deliveries_hold_every_outcome_and_every_tenant() -> None:
    assert Counter(s.expect for s in FIRST).keys() == {"loaded", "skipped", "quarantined"}
    assert Counter(s.expect for s in SECOND).keys() == {"loaded", "replaced", "quarantined"}
    for tenant in TENANTS:
        workflows = {s.key.split("/")[1] for s in FIRST if s.key.startswith(tenant) and s.expect == "loaded"}
        assert len(workflows) >= 5


def test_the_second_delivery_changes_files_of_the_first() -> None:
    known = {sample.key for sample in SECOND} & BY_KEY.keys()
    assert len(known) == len(SECOND) - 1
    for sample in SECOND:
        if sample.key in known:
            assert sample.content != BY_KEY[sample.key].content
        if sample.expect == "replaced":
            assert BY_KEY[sample.key].expect == "loaded"


def test_a_redelivery_changes_some_rows_keeps_others_and_adds_some() -> None:
    sample = SECOND[0]
    before, after = table(text(BY_KEY[sample.key])), table(text(sample))
    assert after[0] == before[0]
    assert len(after) == len(before) + 25
    kept = sum(a == b for a, b in zip(before, after, strict=False))
    assert 0 < len(before) - kept < len(before) / 2


def test_a_redelivery_may_have_fewer_rows() -> None:
    sample = about("fewer", SECOND)
    before, after = table(text(BY_KEY[sample.key])), table(text(sample))
    assert after == before[:-40]


@pytest.mark.parametrize("dataset", ["ads_report", "sp_report"])
def test_a_redelivered_report_has_changed_and_new_rows(dataset: str) -> None:
    (sample,) = [s for s in SECOND if f"/{dataset}/" in s.key]
    before, after = json.loads(text(BY_KEY[sample.key])), json.loads(text(sample))
    if dataset == "sp_report":
        before, after = before["salesAndTrafficByDate"], after["salesAndTrafficByDate"]
    assert len(after) > len(before)
    assert before != after[: len(before)]
    assert before[1] == after[1]


@pytest.mark.parametrize("sample", amc("loaded", FIRST + SECOND), ids=lambda s: s.key)
def test_results_to_be_loaded_are_rectangular_and_have_rows(sample: Sample) -> None:
    header, *rows = table(text(sample))
    assert len(set(header)) == len(header)
    assert header[-1] == "filtered"
    assert rows
    assert {len(row) for row in rows} == {len(header)}
    assert any(row[-1] == "false" for row in rows)


def test_results_of_one_workflow_have_the_same_columns() -> None:
    headers: dict[str, set[tuple[str, ...]]] = {}
    for sample in amc("loaded", FIRST + SECOND):
        headers.setdefault(sample.key.split("/")[1], set()).add(tuple(table(text(sample))[0]))
    assert {len(found) for found in headers.values()} == {1}


def test_the_results_hold_what_makes_amc_files_hard() -> None:
    texts = [text(sample) for sample in amc("loaded", FIRST)]
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


def test_the_ragged_file_has_one_row_a_cell_short_and_is_mended_later() -> None:
    sample = about("one row is a cell short", FIRST)
    header, *rows = table(text(sample))
    assert Counter(len(row) for row in rows) == {len(header): len(rows) - 1, len(header) - 1: 1}
    mended = table(text(about("mended", SECOND)))
    assert len(mended) == len(rows) + 1
    assert {len(row) for row in mended} == {len(header)}


def test_a_good_file_is_redelivered_ragged() -> None:
    sample = about("old rows stay", SECOND)
    assert BY_KEY[sample.key].expect == "loaded"
    assert len({len(row) for row in table(text(sample))}) == 2


def test_the_filtered_file_has_only_filtered_rows() -> None:
    header, *rows = table(text(about("all rows filtered", FIRST)))
    assert len(rows) > 100
    assert {row[-1] for row in rows} == {"true"}
    assert {row[header.index("total_cost")] for row in rows} == {""}


def test_the_console_result_is_named_by_a_uuid() -> None:
    workflow = about("console", FIRST).key.split("/")[1]
    assert re.fullmatch(r"workflow=analytics-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", workflow)


def test_the_empty_files_are_a_header_and_an_array() -> None:
    assert len(table(text(about("header only", FIRST)))) == 1
    assert json.loads(text(about("empty JSON array", FIRST))) == []


def test_the_single_row_is_a_small_file_without_a_last_newline() -> None:
    sample = about("no newline", FIRST)
    assert len(table(text(sample))) == 2
    assert sample.content.count(b"\n") == 1
    assert not sample.content.endswith(b"\n")
    assert len(sample.content) < 1000


def test_costs_are_whole_first_and_have_fractions_later() -> None:
    first, second = about("whole-number", FIRST), about("fractions", SECOND)
    assert first.key.rpartition("/")[0] == second.key.rpartition("/")[0]
    assert first.key < second.key
    for sample, pattern in ((first, r"\d+"), (second, r"\d+\.\d+")):
        header, *rows = table(text(sample))
        for name in ("spend", "fee_cost"):
            cells = {row[header.index(name)] for row in rows} - {""}
            assert len(cells) > 5
            assert all(re.fullmatch(pattern, cell) for cell in cells)


def test_the_odd_names_are_there() -> None:
    assert "/2026-13-" in about("month 13", FIRST).key
    assert about("version 12", FIRST).key.endswith("-ver12.csv")
    assert about("nobody declared", FIRST).key.split("/")[:2] == ["warehouse", "stock_counts"]


def test_the_odd_encodings_are_what_they_say() -> None:
    latin = about("Latin-1", FIRST).content
    with pytest.raises(UnicodeDecodeError):
        latin.decode()
    assert "Señor" in latin.decode("latin-1")
    assert "café" in about("UTF-16", FIRST).content.decode("utf-16")


def test_the_cut_gzip_cannot_be_read_to_its_end() -> None:
    with pytest.raises(EOFError):
        gzip.decompress(about("cut off", FIRST).content)


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
    (plain,) = [s for s in FIRST if "/sp_report/" in s.key and s.key.endswith(".json")]
    assert plain.content.startswith(b"{")


def test_writing_puts_each_file_at_its_key_and_leaves_nothing_else(tmp_path: Path) -> None:
    samples.write(tmp_path, FIRST)
    samples.write(tmp_path, SECOND)
    there = {p.relative_to(tmp_path).as_posix(): p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert there == {s.key: s.content for s in [*FIRST, *SECOND]}


def test_writing_replaces_a_file_by_rename(tmp_path: Path) -> None:
    (old,) = SECOND[:1]
    samples.write(tmp_path, [BY_KEY[old.key]])
    with (tmp_path / old.key).open("rb") as reader:
        samples.write(tmp_path, [old])
        assert reader.read() == BY_KEY[old.key].content
    assert (tmp_path / old.key).read_bytes() == old.content


def test_a_place_that_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(b"")
    with pytest.raises(StorageError):
        samples.write(tmp_path / "raw", FIRST[:1])


def test_many_small_writes_distinct_files_of_one_workflow(tmp_path: Path) -> None:
    samples.many_small(tmp_path, files=30, rows=20)
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) == 30
    assert len({path.read_bytes() for path in written}) == 30
    assert len({path.parent for path in written}) == 1
    for path in written:
        assert AMC_KEY.fullmatch(path.relative_to(tmp_path).as_posix())
        assert {len(row) for row in table(path.read_text())} == {12}
        assert len(table(path.read_text())) == 21


def test_many_small_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        samples.many_small(tmp_path / folder, files=3, rows=5, seed=seed)
    a, b, c = ([p.read_bytes() for p in sorted((tmp_path / f).rglob("*.csv"))] for f in "abc")
    assert a == b
    assert a != c


def test_one_big_has_thirty_dates_and_figures_that_seldom_repeat(tmp_path: Path) -> None:
    path = tmp_path / "big" / "one.csv"
    samples.one_big(path, 120_000)
    header, *rows = table(path.read_text())
    assert len(rows) == 120_000
    assert {len(row) for row in rows} == {len(header)} == {12}
    distinct = {name: len(set(cells)) for name, *cells in zip(header, *rows, strict=True)}
    assert distinct["event_date"] == 30
    assert distinct["impressions"] > 100_000
    assert distinct["total_cost"] > 110_000
    assert distinct["campaign"] == 300
    assert any(row[header.index("postal_code")].startswith("0") for row in rows)
    assert [p.name for p in path.parent.iterdir()] == ["one.csv"]


@pytest.mark.parametrize("columns", [4, 12, 15])
def test_one_big_has_as_many_columns_as_asked(tmp_path: Path, columns: int) -> None:
    samples.one_big(tmp_path / "one.csv", 50, columns=columns)
    cells = table((tmp_path / "one.csv").read_text())
    assert len(cells) == 51
    assert {len(row) for row in cells} == {columns}
    assert len(set(cells[0])) == columns


def test_one_big_refuses_too_few_columns(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="more than 3"):
        samples.one_big(tmp_path / "one.csv", 50, columns=3)
    assert list(tmp_path.iterdir()) == []
