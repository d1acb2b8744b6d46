from __future__ import annotations

from datetime import UTC, datetime

import pytest

from amci.kernel.errors import Unroutable
from amci.kernel.layout import ResultName, file_stem, hive_path


@pytest.mark.parametrize(
    "name",
    [
        "2026-11-01-reach-ver1.csv",
        "2026-11-01T06:00:00.123Z-reach.csv",
        "2024-02-29-a b.csv.gz",
        "2026-11-01-2026-11-02.csv.zst",
    ],
)
def test_a_name_that_was_parsed_formats_to_itself(name: str) -> None:
    assert str(ResultName.parse(name)) == name


@pytest.mark.parametrize(
    "name",
    [
        "2026-13-01-reach.csv",
        "2026-02-30-reach.csv",
        "2026-11-01T25:00:00.000Z-reach.csv",
        "2026-11-01T06:00:00Z-reach.csv",
        "reach.csv",
        "2026-11-01-.csv",
        "2026-11-01-reach.txt",
        "2026-11-01-reach.csv\n",
    ],
)
def test_what_amc_does_not_write_is_refused(name: str) -> None:
    with pytest.raises(Unroutable):
        ResultName.parse(name)


@pytest.mark.parametrize(
    ("base", "version"),
    [("reach-ver1", "ver1"), ("reach-ver12", "ver12"), ("a-ver1-ver20", "ver20"), ("reach", None)],
)
def test_the_version_of_the_query_keeps_all_its_digits(base: str, version: str | None) -> None:
    assert ResultName(datetime(2026, 11, 1, tzinfo=UTC), True, base, "csv").query_version == version


@pytest.mark.parametrize(
    ("value", "folder"),
    [
        ("plain", "a=plain"),
        ("..", "a=%2E%2E"),
        ("x/../y", "a=x%2F..%2Fy"),
        ("q='\"*?[", "a=q%3D%27%22%2A%3F%5B"),
        ("é b", "a=%C3%A9%20b"),
    ],
)
def test_a_partition_value_is_one_folder_whatever_it_holds(value: str, folder: str) -> None:
    assert hive_path((("a", value),)) == folder


@pytest.mark.parametrize("text", ["x" * 300, "日" * 100, "'" * 90, "é/" * 60, ""])
def test_a_stem_fits_into_a_file_name(text: str) -> None:
    stem = file_stem(text)
    assert len(stem.encode()) <= 120
    assert "/" not in stem
