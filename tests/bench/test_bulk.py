from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest

from bench.bulk import many_small, one_big

AMC_KEY = re.compile(
    r"(northwind-outdoor|blue-kettle|atlas_pets)/workflow=([^/]+)/schedule=(daily|weekly|adhoc)/"
    r"(\d{4}-\d\d-\d\d|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)-([^/.]+)\.csv(\.gz)?"
)


def table(written: str) -> list[list[str]]:
    """The cells of a CSV, quotes escaped by a backslash; other backslashes stand for themselves."""
    return list(csv.reader(io.StringIO(written.replace('\\"', '""'), newline=""), strict=True))


def test_many_small_writes_distinct_files_of_one_workflow(tmp_path: Path) -> None:
    many_small(tmp_path, files=30, rows=20)
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
        many_small(tmp_path / folder, files=3, rows=5, seed=seed)
    a, b, c = ([p.read_bytes() for p in sorted((tmp_path / f).rglob("*.csv"))] for f in "abc")
    assert a == b
    assert a != c


def test_one_big_has_thirty_dates_and_figures_that_seldom_repeat(tmp_path: Path) -> None:
    path = tmp_path / "big" / "one.csv"
    one_big(path, 120_000)
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
    one_big(tmp_path / "one.csv", 50, columns=columns)
    cells = table((tmp_path / "one.csv").read_text())
    assert len(cells) == 51
    assert {len(row) for row in cells} == {columns}
    assert len(set(cells[0])) == columns


def test_one_big_refuses_too_few_columns(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="more than 3"):
        one_big(tmp_path / "one.csv", 50, columns=3)
    assert list(tmp_path.iterdir()) == []
