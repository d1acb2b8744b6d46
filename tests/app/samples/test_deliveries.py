from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path, PurePosixPath

import pytest

from amci.app import samples
from amci.app.samples import Sample
from amci.kernel.errors import StorageError

from .delivered import about, first, second, table, text

TENANTS = {"northwind-outdoor", "blue-kettle", "atlas_pets"}
AMC_KEY = re.compile(
    r"(northwind-outdoor|blue-kettle|atlas_pets)/workflow=([^/]+)/schedule=(daily|weekly|adhoc)/"
    r"(\d{4}-\d\d-\d\d|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)-([^/.]+)\.csv(\.gz)?"
)


def by_key() -> dict[str, Sample]:
    return {sample.key: sample for sample in first()}


def test_the_same_seed_gives_the_same_files_in_every_process() -> None:
    program = (
        "import hashlib; from amci.app import samples; h = hashlib.sha256()\n"
        "for s in samples.first_delivery() + samples.second_delivery():\n"
        "    h.update(f'{s.key}|{s.about}|{s.expect}|'.encode() + s.content)\n"
        "print(h.hexdigest())"
    )
    here = hashlib.sha256()
    for s in first() + second():
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
    assert other.keys() == by_key().keys()
    alike = {key for key, sample in other.items() if sample.content == by_key()[key].content}
    assert {by_key()[key].about for key in alike} == {
        "header only",
        "a dataset nobody declared",
        "an empty JSON array",
        "shop orders of a closed day: a total only",
    }


def test_there_are_about_fifty_files_of_a_few_megabytes() -> None:
    assert 40 <= len(first()) <= 60
    assert 1_500_000 < sum(len(sample.content) for sample in first()) < 8_000_000


def test_keys_are_distinct_relative_posix_paths() -> None:
    for delivery in (first(), second()):
        assert len({sample.key for sample in delivery}) == len(delivery)
        for sample in delivery:
            path = PurePosixPath(sample.key)
            assert not path.is_absolute()
            assert ".." not in path.parts
            assert str(path) == sample.key
            assert not path.name.startswith(".")


def test_every_file_lies_where_amazon_or_the_raw_convention_puts_it() -> None:
    for sample in first() + second():
        if "/workflow=" in sample.key:
            match = AMC_KEY.fullmatch(sample.key)
            assert match, sample.key
            _, workflow, schedule, stamp, stem, _ = match.groups()
            assert ("T" in stamp) == (schedule == "adhoc")
            assert re.fullmatch(re.escape(workflow) + ("" if schedule == "adhoc" else r"-ver\d+"), stem)
        elif "/shop/orders/" in sample.key:
            assert re.fullmatch(r"[a-z_-]+/shop/orders/orders-\d{4}-\d\d-\d\d\.csv", sample.key)
            assert sample.key.split("/")[0] in TENANTS
        elif sample.about != "a dataset nobody declared":
            assert re.fullmatch(
                r"adtech/(ads_report/[a-z_]+/report-[0-9a-f]+\.json\.gz"
                r"|sp_report/[a-z_]+/report-\d+\.json(\.gz)?)",
                sample.key,
            )


def test_the_deliveries_hold_every_outcome_and_every_tenant() -> None:
    assert Counter(s.expect for s in first()).keys() == {"loaded", "skipped", "quarantined"}
    assert Counter(s.expect for s in second()).keys() == {"loaded", "replaced", "quarantined"}
    for tenant in TENANTS:
        workflows = {
            s.key.split("/")[1] for s in first() if s.key.startswith(tenant) and s.expect == "loaded"
        }
        assert len(workflows) >= 5


def test_the_second_delivery_changes_files_of_the_first() -> None:
    known = {sample.key for sample in second()} & by_key().keys()
    assert len(known) == len(second()) - 1
    for sample in second():
        if sample.key in known:
            assert sample.content != by_key()[sample.key].content
        if sample.expect == "replaced":
            assert by_key()[sample.key].expect == "loaded"


def test_a_redelivery_changes_some_rows_keeps_others_and_adds_some() -> None:
    sample = second()[0]
    before, after = table(text(by_key()[sample.key])), table(text(sample))
    assert after[0] == before[0]
    assert len(after) == len(before) + 25
    kept = sum(a == b for a, b in zip(before, after, strict=False))
    assert 0 < len(before) - kept < len(before) / 2


def test_a_redelivery_may_have_fewer_rows() -> None:
    sample = about("fewer", second())
    before, after = table(text(by_key()[sample.key])), table(text(sample))
    assert after == before[:-40]


@pytest.mark.parametrize("dataset", ["ads_report", "sp_report"])
def test_a_redelivered_report_has_changed_and_new_rows(dataset: str) -> None:
    (sample,) = [s for s in second() if f"/{dataset}/" in s.key]
    before, after = json.loads(text(by_key()[sample.key])), json.loads(text(sample))
    if dataset == "sp_report":
        before, after = before["salesAndTrafficByDate"], after["salesAndTrafficByDate"]
    assert len(after) > len(before)
    assert before != after[: len(before)]
    assert before[1] == after[1]


def test_the_ragged_file_has_one_row_a_cell_short_and_is_mended_later() -> None:
    sample = about("one row is a cell short", first())
    header, *rows = table(text(sample))
    assert Counter(len(row) for row in rows) == {len(header): len(rows) - 1, len(header) - 1: 1}
    mended = table(text(about("the ragged file, mended", second())))
    assert len(mended) == len(rows) + 1
    assert {len(row) for row in mended} == {len(header)}


def test_a_good_file_is_redelivered_ragged() -> None:
    sample = about("old rows stay", second())
    assert by_key()[sample.key].expect == "loaded"
    assert len({len(row) for row in table(text(sample))}) == 2


def test_the_console_result_is_named_by_a_uuid() -> None:
    workflow = about("console", first()).key.split("/")[1]
    assert re.fullmatch(r"workflow=analytics-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", workflow)


def test_the_odd_names_are_there() -> None:
    assert "/2026-13-" in about("month 13", first()).key
    assert about("version 12", first()).key.endswith("-ver12.csv")
    assert about("nobody declared", first()).key.split("/")[:2] == ["warehouse", "stock_counts"]


def test_writing_puts_each_file_at_its_key_and_leaves_nothing_else(tmp_path: Path) -> None:
    samples.write(tmp_path, first())
    samples.write(tmp_path, second())
    there = {p.relative_to(tmp_path).as_posix(): p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert there == {s.key: s.content for s in [*first(), *second()]}


def test_writing_replaces_a_file_by_rename(tmp_path: Path) -> None:
    (old,) = second()[:1]
    samples.write(tmp_path, [by_key()[old.key]])
    with (tmp_path / old.key).open("rb") as reader:
        samples.write(tmp_path, [old])
        assert reader.read() == by_key()[old.key].content
    assert (tmp_path / old.key).read_bytes() == old.content


def test_a_place_that_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(b"")
    with pytest.raises(StorageError):
        samples.write(tmp_path / "raw", first()[:1])
