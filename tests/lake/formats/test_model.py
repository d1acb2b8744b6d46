"""What a file's name promises."""

import pytest

from amci.lake.formats import FileFormat, format_of

CSV, JSON, PARQUET = FileFormat.CSV, FileFormat.JSON, FileFormat.PARQUET


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.csv", CSV),
        ("schedule=daily/2026-01-02-x.y.CSV", CSV),
        ("a.csv.gz", CSV),
        ("a.csv.zst", CSV),
        ("a.JSON", JSON),
        ("a.json.GZ", JSON),
        ("a.jsonl", JSON),
        ("a.ndjson.zst", JSON),
        ("report.gz", JSON),
        ("report.2026.gz", JSON),
        ("a.parquet", PARQUET),
        ("a.parquet.gz", None),
        ("a.zst", None),
        ("a.txt", None),
        ("a.csv.part", None),
        ("csv", None),
        (".csv", None),
        ("", None),
    ],
)
def test_the_format_a_name_promises(name: str, expected: FileFormat | None) -> None:
    assert format_of(name) is expected
