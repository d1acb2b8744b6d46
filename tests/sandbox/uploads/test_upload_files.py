"""Files that are uploaded (amc-api 2.5): where they lie, how they are read, what is said of those that cannot be."""

from __future__ import annotations

import bz2
import gzip
import io
import struct
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from .uploading import Uploads

TIME = {"name": "sold_at", "dataType": "TIMESTAMP", "columnType": "METRIC", "isMainEventTime": True}
NAME = {"name": "product", "dataType": "STRING", "columnType": "DIMENSION"}
COUNT = {"name": "quantity", "dataType": "LONG", "columnType": "METRIC"}
PLAIN = b"product,quantity\nTent,2\nStove,1\n"


def csv_of(*lines: str) -> bytes:
    return "\n".join(lines).encode() + b"\n"


def _zipped(content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("sales.csv", content)
    return out.getvalue()


def _block(content: bytes) -> bytes:
    return bytes(pa.Codec("snappy").compress(content))


def _framed(content: bytes) -> bytes:
    body = b"\0\0\0\0" + _block(content)
    return b"\xff\x06\x00\x00sNaPpY" + b"\x00" + len(body).to_bytes(3, "little") + body


def _hadoops(content: bytes) -> bytes:
    return struct.pack(">II", len(content), len(_block(content))) + _block(content)


@pytest.mark.parametrize(
    ("compression", "pack"),
    [
        ("NONE", bytes),
        ("GZIP", gzip.compress),
        ("ZIP", _zipped),
        ("BZIP", bz2.compress),
        ("SNAPPY", _block),
        ("SNAPPY", _framed),
        ("SNAPPY", _hadoops),
    ],
)
def test_files_may_be_compressed(up: Uploads, compression: str, pack: Callable[[bytes], bytes]) -> None:
    up.define()
    assert up.upload(pack(PLAIN), compressionFormat=compression)["status"] == "SUCCESS"
    assert up.rows() == [("Stove", 1), ("Tent", 2)]


@pytest.mark.parametrize("compression", ["GZIP", "ZIP", "BZIP", "SNAPPY"])
@pytest.mark.parametrize("content", [PLAIN, b"", PLAIN * 100])
def test_a_file_that_is_not_compressed_as_said_fails_its_upload(
    up: Uploads, compression: str, content: bytes
) -> None:
    up.define()
    shown = up.upload(content, compressionFormat=compression)
    assert shown["status"] == "FAILED"
    if content or compression != "GZIP":  # nothing, unpacked by gzip, is nothing
        assert shown["message"].startswith(f"sales.csv: cannot be decompressed as {compression}")


def test_a_truncated_file_fails_its_upload(up: Uploads) -> None:
    up.define()
    assert up.upload(gzip.compress(PLAIN)[:-9], compressionFormat="GZIP")["status"] == "FAILED"


def test_a_compressed_file_that_is_said_not_to_be_is_noticed(up: Uploads) -> None:
    up.define()
    assert "set compressionFormat to GZIP" in up.upload(gzip.compress(PLAIN))["message"]


@pytest.mark.parametrize(
    ("options", "content"),
    [
        ({"fieldDelimiter": "\t"}, b"product\tquantity\nTent\t2\nStove\t1\n"),
        ({"fieldDelimiter": "||"}, b"product||quantity\nTent||2\nStove||1\n"),
        ({"recordDelimiter": "\r\n"}, b"product,quantity\r\nTent,2\r\nStove,1\r\n"),
        ({"recordDelimiter": "\r"}, b"product,quantity\rTent,2\rStove,1\r"),
        ({"commentCharacter": "#"}, b"# made today\nproduct,quantity\n#x\nTent,2\nStove,1\n"),
        ({"quoteCharacter": "'"}, b"'product','quantity'\n'Tent','2'\n'Stove',1\n"),
        ({"quoteEscapeCharacter": '""', "quoteCharacter": '"'}, b'product,quantity\n"Tent",2\nStove,1\n'),
        ({"quoteEscapeCharacter": "\\"}, b"product,quantity\nTent,2\nStove,1\n"),
        ({}, b"\xef\xbb\xbfquantity,Product\n2,Tent\n\n1,Stove"),
    ],
)
def test_csv_is_read_as_its_options_say(up: Uploads, options: Any, content: bytes) -> None:
    up.define()
    shown = up.upload(content, fileFormat={"csvDataFormat": options})
    assert (shown["status"], shown.get("message")) == ("SUCCESS", None)
    assert up.rows() == [("Stove", 1), ("Tent", 2)]


def test_quoted_values_keep_what_is_in_them(up: Uploads) -> None:
    up.define()
    content = b'product,quantity\n"a ""big"", red\ntent",1\n"",\n'
    assert up.upload(content)["status"] == "SUCCESS"
    assert up.rows() == [('a "big", red\ntent', 1), (None, None)]


@pytest.mark.parametrize(
    ("form", "content"),
    [
        ("LINES", b'{"product": "Tent", "quantity": 2}\n{"quantity": 1, "product": "Stove"}\n'),
        ("DOCUMENT", b'[{"product": "Tent", "quantity": 2},\n {"product": "Stove", "quantity": "1"}]'),
        ("DOCUMENT", b'{"product": "Tent",\n "quantity": 2}\n{"product": "Stove", "quantity": 1}'),
    ],
)
def test_json_is_read_as_lines_or_as_a_document(up: Uploads, form: str, content: bytes) -> None:
    up.define()
    assert up.upload(content, fileFormat={"jsonDataFormat": form})["status"] == "SUCCESS"
    assert up.rows() == [("Stove", 1), ("Tent", 2)]


def _parquet(columns: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


def test_parquet_is_read_with_its_own_types(up: Uploads) -> None:
    day = {"name": "day", "dataType": "DATE", "columnType": "DIMENSION"}
    price = {"name": "price", "dataType": "DECIMAL", "columnType": "METRIC"}
    up.define(TIME, NAME, COUNT, day, price)
    at = datetime(2026, 10, 3, 12, 30, 1, 500_000, tzinfo=UTC)
    content = _parquet(
        {
            "sold_at": pa.array([at, at.replace(hour=1)], pa.timestamp("us", tz="Europe/Berlin")),
            "product": ["Tent", None],
            "quantity": pa.array([2, 1], pa.int32()),
            "day": pa.array([at.date(), None]),
            "price": [9.5, 1e3],
        }
    )
    shown = up.upload(content, fileFormat={"parquetDataFormat": {}}, compressionFormat="GZIP")
    assert (shown["status"], shown.get("message")) == ("SUCCESS", None)
    assert [(row[0].isoformat(), *map(str, row[1:])) for row in up.rows()] == [
        ("2026-10-03T01:30:01.500000", "None", "1", "None", "1000.0000"),
        ("2026-10-03T12:30:01.500000", "Tent", "2", "2026-10-03", "9.5000"),
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "sales.csv: it has no header with the names of the columns."),
        (b"product\nTent\n", None),
        (b"product,size\nTent,1\n", "sales.csv: the data set has no column size."),
        (b"product,jane@example.com\nTent,1\n", "sales.csv: the data set has no column number 2."),
        (b"jane@example.com,1\nTent,1\n", "sales.csv: it names none of the data set's columns"),
        (b"product,Product\na,b\n", "sales.csv: columns 1 and 2 have the same name."),
        (b"product,quantity\nTent,2\nStove\n", "sales.csv, line 3: it has not as many fields as the header."),
        (b'product,quantity\nTent,2\n"Stove,1\n', "sales.csv: the last quoted value does not end"),
        (b'product,quantity\nTent,2\n"Stove"x,1\n', "sales.csv, line 3: a quoted value does not end"),
        (b"product,quantity\nTent,2\n\xff\xfe,1\n", "sales.csv, line 3: it is not UTF-8."),
        (b"\xff\xfep\0", "sales.csv: it is not UTF-8."),
        (b"product,quantity\nTent,2\nStove,many\n", "sales.csv, line 3, column quantity: expected a whole"),
        (
            b'product,quantity\n"a\nb",2\n\nStove,1.5\n',
            "sales.csv, line 5, column quantity: expected a whole",
        ),
        (b"product,quantity\nTent,9223372036854775808\n", "sales.csv, line 2, column quantity: expected a"),
        (b"product,quantity\nTent,0x1F\n", "sales.csv, line 2, column quantity: expected a"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_file_line_and_column(
    up: Uploads, content: bytes, said: str | None
) -> None:
    up.define()
    shown = up.upload(content)
    if said is None:
        assert shown["status"] == "SUCCESS"
    else:
        assert (shown["status"], shown["metrics"]) == ("FAILED", {})
        assert said in shown["message"]
        assert "jane" not in shown["message"]
        assert up.rows() == []


@pytest.mark.parametrize(
    ("form", "content", "said"),
    [
        ("LINES", b'{"product": "Tent"}\n{"product": \n', "sales.csv, line 2: not valid JSON."),
        ("LINES", b'{"product": "Tent"}\n[1]\n', "sales.csv, record 2: one JSON object per row is expected."),
        ("DOCUMENT", b'[{"product": "Tent"}, 7]', "one JSON object per row is expected."),
        ("LINES", b'{"product": "Tent", "size": 1}\n', "sales.csv: the data set has no column size."),
        ("LINES", b'{"quantity": 1}\n{"quantity": 1.5}\n', "sales.csv, record 2, column quantity: expected"),
    ],
)
def test_what_is_wrong_with_json_is_said_too(up: Uploads, form: str, content: bytes, said: str) -> None:
    up.define()
    shown = up.upload(content, fileFormat={"jsonDataFormat": form})
    assert shown["status"] == "FAILED"
    assert said in shown["message"]


@pytest.mark.parametrize("is_truncated", [True, False])
def test_what_is_no_parquet_is_refused(up: Uploads, is_truncated: bool) -> None:
    up.define()
    content = _parquet({"product": ["Tent"], "quantity": [2]})[:-9] if is_truncated else PLAIN
    shown = up.upload(content, fileFormat={"parquetDataFormat": {}})
    assert shown["status"] == "FAILED"
    assert "another format than the upload says" in shown["message"]


@pytest.mark.parametrize(
    ("data_type", "good", "bad"),
    [
        ("INTEGER", ["1", "-7", " 12 ", ""], ["2147483648", "1.0", "1_000", "one", "1e3"]),
        ("DECIMAL", ["1", "-7.25", ".5", "1e3"], ["1,5", "inf", "nan", "--1"]),
        ("DATE", ["2026-02-28"], ["2026-02-29", "6/15/2024", "2026-2-1", "inf", "2026-02-28T00:00:00Z"]),
        (
            "TIMESTAMP",
            ["2026-02-28T08:00:00Z", "2026-02-28T08:00:00.123Z"],
            ["2026-02-28T08:00:00", "2026-02-28 08:00:00Z", "2026-02-30T08:00:00Z", "2026-02-28T25:00:00Z"],
        ),
    ],
)
def test_values_are_written_as_amc_wants_them(
    up: Uploads, data_type: str, good: list[str], bad: list[str]
) -> None:
    column = {"name": "it", "dataType": data_type, "columnType": "DIMENSION"}
    up.define(NAME, column)
    lines = [f"x,{value}" for value in good]
    assert up.upload(csv_of("product,it", *lines))["status"] == "SUCCESS"
    for value in bad:
        quoted = f'"{value}"'
        shown = up.upload(csv_of("product,it", f"x,{good[0]}", f"y,{quoted}"))
        assert "sales.csv, line 3, column it: expected" in shown.get("message", ""), value
        assert value not in shown["message"]


def test_problems_of_all_files_are_told_at_once(up: Uploads) -> None:
    up.define({**NAME, "nullable": False}, COUNT)
    up.put("in/a.csv", b"product,quantity\nTent,x\n,2\n")
    up.put("in/b.csv", b"quantity\n1\n")
    source = {"sourceS3Bucket": "files", "sourceS3Prefix": "in/"}
    shown = up.shown(up.submit(dataSource=source))
    assert shown["message"].split(". ") == [
        "in/a.csv, line 3, column product: a value is required",
        "in/a.csv, line 2, column quantity: expected a whole number of 64 bits",
        "in/b.csv: column product is missing.",
    ]


def test_a_row_without_its_event_time_is_refused(up: Uploads) -> None:
    up.define(TIME, NAME)
    assert "line 2, column sold_at: a value is required" in up.upload(b"sold_at,product\n,Tent\n")["message"]


def test_all_files_under_a_prefix_are_taken_but_hidden_ones(up: Uploads) -> None:
    up.define()
    for key in ("in/a.csv", "in/b/c.csv", "in/_SUCCESS", "in/.x.csv", "inner.csv", "other/d.csv"):
        up.put(key, PLAIN)
    source = {"sourceS3Bucket": "files", "sourceS3Prefix": "in"}
    shown = up.shown(up.submit(dataSource=source))
    assert shown["metrics"] == {"OutputRowCount": 6}
    assert shown["message"].startswith("2 files were skipped")


def test_a_manifest_names_files_in_several_buckets(up: Uploads) -> None:
    up.define()
    up.put("a.csv", PLAIN)
    up.put("deep/b.csv", PLAIN, bucket="more")
    up.put("list.txt", b"s3://files/a.csv\n\ns3://more/deep/b.csv\n")
    source = {"sourceS3Bucket": "files", "sourceManifestS3Key": "list.txt"}
    assert up.shown(up.submit(dataSource=source))["metrics"] == {"OutputRowCount": 4}


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"sourceFileS3Key": "nothing.csv"}, "No such file or directory 's3://files/nothing.csv'"),
        ({"sourceFileS3Key": "../other/secret.csv"}, "No such file or directory"),
        ({"sourceFileS3Key": "/etc/passwd"}, "No such file or directory"),
        ({"sourceFileS3Key": "link.csv"}, "No such file or directory"),
        ({"sourceS3Bucket": "elsewhere", "sourceFileS3Key": "a.csv"}, "'s3://elsewhere'"),
        ({"sourceS3Bucket": "../..", "sourceFileS3Key": "a.csv"}, "No such file or directory"),
        ({"sourceFileS3Key": "_a.csv"}, "cannot start with a period or an underscore"),
        ({"sourceS3Prefix": "nothing/"}, "No files found under 's3://files/nothing/'"),
        ({"sourceManifestS3Key": "empty.txt"}, "the manifest names no files"),
        ({"sourceManifestS3Key": "bad.txt"}, "bad.txt, line 1: expected s3://bucket/key."),
        ({"sourceManifestS3Key": "bad.txt"}, "bad.txt, line 2: No such file or directory 's3://files/gone'"),
    ],
)
def test_files_that_are_not_there_fail_their_upload(
    up: Uploads, tmp_path: Path, source: Any, said: str
) -> None:
    up.define()
    for key, content in (("_a.csv", PLAIN), ("empty.txt", b"\n"), ("bad.txt", b"a.csv\ns3://files/gone\n")):
        up.put(key, content)
    (tmp_path / "secret.csv").write_bytes(PLAIN)
    (up.amc.directory / "uploads/files/link.csv").symlink_to(tmp_path / "secret.csv")
    up.put("secret.csv", PLAIN, bucket="../other")
    shown = up.shown(up.submit(dataSource={"sourceS3Bucket": "files"} | source))
    assert shown["status"] == "FAILED"
    assert said in shown["message"]
