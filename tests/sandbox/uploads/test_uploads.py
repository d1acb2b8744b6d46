"""Uploads: asked for, listed, and what becomes of the rows there were (amc-api 2.5)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import duckdb
import pytest

from amci.kernel.files import on_fault_point
from amci.kernel.testing import FakeClock
from amci.sandbox import uploads as uploads_package
from amci.sandbox.options import DEFAULT_INSTANCE
from amci.sandbox.uploads.uploaded import uploaded_sources
from amci.sandbox.uploads.versions import exclusive

from .uploading import Uploading, Uploads

INSTANCE = DEFAULT_INSTANCE.instance_id
EMAIL = {
    "name": "email",
    "dataType": "STRING",
    "columnType": "DIMENSION",
    "externalUserIdType": {"hashedPii": "EMAIL"},
}
TIME = {"name": "sold_at", "dataType": "TIMESTAMP", "columnType": "METRIC", "isMainEventTime": True}
NAME = {"name": "product", "dataType": "STRING", "columnType": "DIMENSION"}
COUNT = {"name": "quantity", "dataType": "LONG", "columnType": "METRIC"}
PLAIN = b"product,quantity\nTent,2\nStove,1\n"
SECONDS = timedelta(seconds=1)


def csv_of(*lines: str) -> bytes:
    return "\n".join(lines).encode() + b"\n"


def test_an_upload_goes_through_its_statuses_on_the_sandboxs_clock(
    uploading: Uploading, clock: FakeClock
) -> None:
    up = uploading(pending=5 * SECONDS, running=20 * SECONDS)
    up.define()
    up.put("sales.csv", PLAIN)
    answer = up.ask()
    assert answer.json["status"] == "SUBMITTED"
    name, seen = answer.json["uploadId"], []
    for _ in range(6):
        seen.append((up.shown(name)["status"], up.shown(name)["updatedAt"][-3:-1]))
        clock.turn(5 * SECONDS)
    assert seen == [
        ("SUBMITTED", "00"),
        *[("IN_PROGRESS", "05")] * 4,
        ("SUCCESS", "25"),
    ]
    assert up.shown(name) == {
        "uploadId": name,
        "dataSetId": "sales",
        "instanceId": INSTANCE,
        "status": "SUCCESS",
        "createdAt": "2026-11-01T06:00:00Z",
        "updatedAt": "2026-11-01T06:00:25Z",
        "metrics": {"OutputRowCount": 2},
        "dataSource": {"sourceS3Bucket": "files", "sourceFileS3Key": "sales.csv"},
    }
    assert up.rows() == [("Stove", 1), ("Tent", 2)]


def test_a_sandbox_can_say_the_statuses_of_amcs_samples(up: Uploads) -> None:
    up.amc.sandbox.backend.has_sample_statuses = True
    up.define()
    up.put("sales.csv", PLAIN)
    answer = up.ask()
    assert answer.json["status"] == "PENDING"
    assert up.shown(answer.json["uploadId"])["status"] == "COMPLETED"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"updateStrategy": "APPEND"}, "updateStrategy is required"),
        ({"updateStrategy": "OVERLAP_KEEP"}, "needs a data set with a main event time"),
        ({"compressionFormat": "RAR"}, "compressionFormat must be one of"),
        ({"countryCode": "Germany"}, "countryCode must be two capital letters"),
        ({"dataSource": None}, "dataSource is required"),
        ({"dataSource": {"sourceFileS3Key": "a"}}, "must have sourceS3Bucket"),
        ({"dataSource": {"sourceS3Bucket": "b"}}, "exactly one of sourceFileS3Key"),
        (
            {"dataSource": {"sourceS3Bucket": "b", "sourceS3Prefix": "a", "sourceFileS3Key": "b"}},
            "exactly one of sourceFileS3Key",
        ),
        ({"fileFormat": {}}, "fileFormat is required"),
        ({"fileFormat": {"csvDataFormat": {}, "parquetDataFormat": {}}}, "fileFormat is required"),
        ({"fileFormat": {"jsonDataFormat": "ARRAY"}}, "jsonDataFormat must be LINES or DOCUMENT"),
        ({"fileFormat": {"csvDataFormat": "x"}}, "csvDataFormat must be an object"),
        ({"fileFormat": {"csvDataFormat": {"delimiter": ";"}}}, "csvDataFormat has no delimiter"),
        ({"fileFormat": {"csvDataFormat": {"quoteCharacter": "''"}}}, "quoteCharacter"),
        ({"fileFormat": {"csvDataFormat": {"recordDelimiter": ";"}}}, "recordDelimiter"),
    ],
)
def test_an_upload_that_makes_no_sense_is_refused_at_once(up: Uploads, more: Any, said: str) -> None:
    up.define()
    answer = up.ask(**more)
    assert answer.status == 400
    assert said in answer.details
    assert answer.json["errors"]


def test_an_upload_needs_its_data_set(up: Uploads) -> None:
    assert up.ask("nothing").status == 404
    assert up.amc.ask("GET", f"{up.base}/uploads/nothing/x").details == "Upload with ID x does not exist."


def _months(*months: str, product: str) -> bytes:
    return csv_of("sold_at,product", *[f"{month}-03T12:00:00Z,{product}" for month in months])


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("ADDITIVE", ["08 old", "09 new", "09 old", "10 new"]),
        ("FULL_REPLACE", ["09 new", "10 new"]),
        ("OVERLAP_REPLACE", ["08 old", "09 new", "10 new"]),
        ("OVERLAP_KEEP", ["08 old", "09 old", "10 new"]),
    ],
)
def test_the_strategy_decides_which_periods_stay(up: Uploads, strategy: str, expected: list[str]) -> None:
    up.define(TIME, NAME, period="P1M")
    assert up.upload(_months("2026-08", "2026-09", product="old"))["status"] == "SUCCESS"
    shown = up.upload(_months("2026-09", "2026-10", product="new"), updateStrategy=strategy)
    assert shown["status"] == "SUCCESS"
    found = up.rows("SELECT strftime(sold_at, '%m ') || product FROM amc.sales ORDER BY ALL")
    assert [text for (text,) in found] == expected
    assert shown["metrics"] == {"OutputRowCount": sum("new" in text for text in expected)}


@pytest.mark.parametrize(
    ("period", "expected"), [("PT1H", ["new", "old", "old"]), ("P1D", ["new", "old"]), ("P1M", ["new"])]
)
def test_periods_are_as_long_as_the_data_set_says(up: Uploads, period: str, expected: list[str]) -> None:
    up.define(TIME, NAME, period=period)
    old = csv_of(
        "sold_at,product", "2026-08-03T12:00:00Z,old", "2026-08-03T13:00:00Z,old", "2026-08-04T12:30:00Z,old"
    )
    up.upload(old)
    up.upload(csv_of("sold_at,product", "2026-08-03T12:59:00Z,new"), updateStrategy="OVERLAP_REPLACE")
    assert [text for (text,) in up.rows("SELECT product FROM amc.sales ORDER BY ALL")] == expected


@pytest.mark.parametrize(("strategy", "expected"), [("ADDITIVE", 4), ("FULL_REPLACE", 2)])
def test_a_dimension_is_one_period(up: Uploads, strategy: str, expected: int) -> None:
    up.define()
    up.upload()
    up.upload(updateStrategy=strategy)
    assert len(up.rows()) == expected


def test_a_failed_upload_leaves_what_there_was(up: Uploads) -> None:
    up.define()
    up.upload()
    before = up.sources()
    assert up.upload(b"x\n", updateStrategy="FULL_REPLACE")["status"] == "FAILED"
    assert up.sources() == before
    assert len(up.rows()) == 2


class _Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize(
    "where", ["versions.before_fsync", "versions.before_rename", "versions.after_rename"]
)
def test_a_process_that_is_killed_leaves_the_old_version_and_the_next_one_ends_the_upload(
    uploading: Uploading, where: str
) -> None:
    up = uploading()
    up.define()
    up.upload()
    up.put("sales.csv", b"product,quantity\nBoot,3\n")

    def kill(name: str) -> None:
        if name == where:
            raise _Killed

    name = up.submit(updateStrategy="FULL_REPLACE")
    on_fault_point(kill)
    try:
        with pytest.raises(_Killed):
            up.amc.sandbox.advance()
    finally:
        on_fault_point(None)
    assert up.rows() == [("Stove", 1), ("Tent", 2)]
    again = uploading()
    assert again.shown(name)["status"] == "SUCCESS"
    assert again.rows() == [("Boot", 3)]


def test_only_one_process_at_a_time_ends_uploads(up: Uploads) -> None:
    up.define()
    up.put("sales.csv", PLAIN)
    with exclusive(up.amc.directory) as is_locked:
        assert is_locked
        name = up.submit()
        assert up.shown(name)["status"] == "IN_PROGRESS"
    assert up.shown(name)["status"] == "SUCCESS"


def test_nothing_is_left_on_the_disk_that_nobody_needs(up: Uploads) -> None:
    up.define()
    for _ in range(4):
        up.upload(updateStrategy="FULL_REPLACE")
    folders = list((up.amc.directory / "data-sets").glob("*/*"))
    assert len(folders) == 2  # the present version, and the one before that somebody may still read
    up.amc.ask("DELETE", f"{up.base}/dataSets/sales")
    assert not list((up.amc.directory / "data-sets").glob("*/*"))


def test_who_has_begun_to_read_the_old_version_can_go_on(up: Uploads) -> None:
    up.define()
    up.upload()
    reads = up.sources()["sales"].reads
    up.upload(b"product,quantity\nBoot,3\n", updateStrategy="FULL_REPLACE")
    assert up.rows(reads) == [("Tent", 2), ("Stove", 1)]


def test_columns_may_change_while_there_are_rows(up: Uploads) -> None:
    up.define()
    up.upload()
    columns = f"{up.base}/dataSets/sales/columns"
    up.amc.ask("PUT", f"{columns}/product", {"updatedColumnName": "item"})
    up.amc.ask("DELETE", f"{columns}/quantity")
    assert up.amc.ask("POST", columns, {"column": COUNT}).status == 200
    # what was in the column of that name before is gone
    assert up.rows("SELECT item, quantity FROM amc.sales ORDER BY ALL") == [
        ("Stove", None),
        ("Tent", None),
    ]
    assert up.upload(b"item,quantity\nBoot,3\n")["status"] == "SUCCESS"
    assert up.rows("SELECT item, quantity FROM amc.sales ORDER BY ALL") == [
        ("Boot", 3),
        ("Stove", None),
        ("Tent", None),
    ]


def test_an_upload_into_a_data_set_that_was_deleted_meanwhile_fails(
    uploading: Uploading, clock: FakeClock
) -> None:
    up = uploading(running=5 * SECONDS)
    up.define()
    up.put("sales.csv", PLAIN)
    name = up.submit()
    up.amc.ask("DELETE", f"{up.base}/dataSets/sales")
    up.define()
    clock.turn(5 * SECONDS)
    assert up.shown(name)["message"] == "Data set sales was deleted."
    assert up.rows() == []


def test_a_data_set_without_rows_can_be_queried(up: Uploads) -> None:
    up.define(EMAIL, TIME, COUNT)
    assert (
        up.rows('SELECT sold_at, quantity, user_id, user_id_type, "amci user", "amci part" FROM amc.sales')
        == []
    )


def test_a_query_over_another_version_is_another_query(up: Uploads) -> None:
    up.define()
    seen = set()
    for _ in range(3):
        seen.add(up.sources()["sales"].reads)
        up.upload()
    assert len(seen) == 3


def test_uploaded_tables_are_sources_of_queries(up: Uploads) -> None:
    up.define(EMAIL, TIME, NAME, COUNT)
    up.define(data_set_id="products")
    found = up.sources()
    sales, products = found["sales"], found["products"]
    assert (sales.kind, sales.event_time, sales.has_users, sales.is_uploaded) == (
        "FACT",
        "sold_at",
        True,
        True,
    )
    assert (products.kind, products.event_time, products.has_users) == ("DIMENSION", None, False)
    assert [column.name for column in sales.columns] == [
        "sold_at",
        "product",
        "quantity",
        "user_id",
        "user_id_type",
    ]
    assert "email" not in sales.by_name
    assert uploaded_sources(up.amc.sandbox.backend, "amcother") == {}


LISTED = [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", LISTED),
        ("dataSetId=sales", [0, 2, 3]),
        ("dataSetId=other", [1]),
        ("status=FAILED", [2]),
        ("status=SUCCESS", [0, 1, 3]),
        ("status=COMPLETED", [0, 1, 3]),
        ("status=PENDING", []),
        ("createdAt=2026-11-01T06:00:20Z", [2]),
        ("createdAt=2026-11-01T06:00:20Z&createdAtComparator=EQ", [2]),
        ("createdAt=2026-11-01T06:00:20Z&createdAtComparator=GT", [3]),
        ("createdAt=2026-11-01T06:00:20Z&createdAtComparator=GTE", [2, 3]),
        ("createdAt=2026-11-01T06:00:20Z&createdAtComparator=LT", [0, 1]),
        ("createdAt=2026-11-01T06:00:20Z&createdAtComparator=LTE", [0, 1, 2]),
        ("createdAt=2026-11-01T06:00:20Z&createdAtComparator=LTE&status=SUCCESS&dataSetId=sales", [0]),
    ],
)
def test_uploads_are_listed_by_data_set_status_and_creation(
    up: Uploads, clock: FakeClock, query: str, expected: list[int]
) -> None:
    up.define()
    up.define(data_set_id="other")
    names = []
    for data_set_id, key in (
        ("sales", "a.csv"),
        ("other", "a.csv"),
        ("sales", "gone.csv"),
        ("sales", "a.csv"),
    ):
        up.put("a.csv", PLAIN)
        names.append(up.submit(data_set_id=data_set_id, key=key))
        clock.turn(10 * SECONDS)
    answer = up.amc.ask("POST", f"{up.base}/uploads/list?{query}")
    assert [names.index(upload["uploadId"]) for upload in answer.json["uploads"]] == expected
    asked = dict(part.split("=") for part in query.split("&") if part)
    in_body = up.amc.ask("POST", f"{up.base}/uploads/list", asked)
    assert in_body.json == answer.json


def test_uploads_are_listed_a_page_at_a_time(up: Uploads) -> None:
    up.define()
    up.put("sales.csv", PLAIN)
    names = [up.submit() for _ in range(5)]
    first = up.amc.ask("POST", f"{up.base}/uploads/list?maxResults=3").json
    second = up.amc.ask("POST", f"{up.base}/uploads/list?maxResults=3&nextToken={first['nextToken']}").json
    assert [each["uploadId"] for each in first["uploads"] + second["uploads"]] == names
    assert "nextToken" not in second


@pytest.mark.parametrize(
    "query", ["status=DONE", "createdAt=yesterday", "createdAt=2026-11-01T06:00:20Z&createdAtComparator=NE"]
)
def test_a_filter_nobody_knows_is_refused(up: Uploads, query: str) -> None:
    assert up.amc.ask("POST", f"{up.base}/uploads/list?{query}").status == 400


def test_the_example_of_the_package_is_what_happens(up: Uploads) -> None:
    lines = (uploads_package.__doc__ or "").splitlines()
    shown = [[cell.strip() for cell in line.split("|")] for line in lines if "|" in line]
    content = csv_of(*(line.strip() for line in lines[5:8]))
    up.define(EMAIL | {"requiresOneWayHashing": True}, NAME, COUNT, TIME | {"name": "bought_at"})
    up.upload(content)
    (path,) = up.amc.directory.glob("data-sets/1-sales/*/*.parquet")
    for row in duckdb.execute("FROM read_parquet(?)", [str(path)]).fetchall():
        product, quantity, bought_at, user_id, _, user, part, (identity,) = row
        cells = (product, quantity, f"{bought_at:%Y-%m-%d %H:%M}", f"{user_id[:8]}…", user, part)
        assert [*map(str, cells), f"[{identity[:14]}…]"] in shown
    assert len(shown) == 3
    message = up.upload(content.replace(b",2,", b",two,"))["message"]
    assert message in " ".join(" ".join(lines).split())
