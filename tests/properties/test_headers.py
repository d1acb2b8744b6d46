"""A header is a column of a table: a function, one to one, for any headers, files, orders and batches."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings, strategies as st

from amci.kernel.names import column_key, column_names, sanitized
from amci.lake.catalog.headers import FileColumns, TableHeaders, file_columns

Path = tuple[str, ...]
OWN = frozenset({"_row", "tenant"})
#: Headers that lose letters or meet, and headers that are taken or look like names that were made.
MEETING = "userId,userid,User ID,user_id,Spend ($),Spend (€),spend_,spend_dollar,価格,価格 ,数量"
TAKEN = ",-,column_2,unnamed,tenant,tenant_2,a,A,Ａ,a_2,a\n2,CTR (%)"
HEADERS = st.one_of(st.sampled_from(f"{MEETING},{TAKEN}".split(",")), st.text(max_size=4))
FILES = st.lists(st.lists(HEADERS, min_size=1, max_size=5, unique=True), min_size=1, max_size=6)
#: Ways to fields of JSON, many of which have the same letters in other steps.
PATHS = st.lists(st.sampled_from(["a", "b", "a.b", "b.a", ".", "", "a\\", "A"]), min_size=1, max_size=3).map(
    tuple
)
NESTED = st.lists(st.lists(PATHS, min_size=1, max_size=5, unique=True), min_size=1, max_size=6)


@given(header=st.lists(HEADERS, min_size=1, max_size=8, unique=True), data=st.data())
def test_a_name_does_not_depend_on_where_its_column_stands(header: list[str], data: Any) -> None:
    names = dict(zip(header, column_names(header, OWN), strict=True))
    moved = data.draw(st.permutations(header))
    assert dict(zip(moved, column_names(moved, OWN), strict=True)) == names
    assert len({*names.values()} | OWN) == len(header) + len(OWN)
    assert all(name == sanitized(name) for name in names.values())


@given(header=st.lists(HEADERS, min_size=2, max_size=8, unique=True), data=st.data())
def test_a_column_that_came_later_takes_no_name(header: list[str], data: Any) -> None:
    first = data.draw(st.integers(1, len(header) - 1))
    before = column_names(header[:first], OWN)
    assert column_names(header, OWN, before=before)[:first] == before


@given(paths=st.lists(PATHS, min_size=1, max_size=6, unique=True), data=st.data())
def test_a_path_has_one_header_in_any_order_and_batch(paths: list[Path], data: Any) -> None:
    whole = dict(zip(paths, columns_of(paths, is_nested=True).headers.values(), strict=True))
    assert len({*whole.values()}) == len(paths)
    some = data.draw(st.permutations(paths))[: data.draw(st.integers(1, len(paths)))]
    headers = columns_of(some, is_nested=True).headers.values()
    assert dict(zip(some, headers, strict=True)).items() <= whole.items()


@settings(max_examples=300)
@given(
    files=st.one_of(st.tuples(st.just(False), FILES), st.tuples(st.just(True), NESTED)),
    earlier=st.lists(st.sampled_from(["spend_", "column_1", "column_2", "a", "a_b", "user_id"]), unique=True),
)
def test_a_header_has_its_column_in_every_file(
    files: tuple[bool, list[list[str]] | list[list[Path]]], earlier: list[str]
) -> None:
    is_nested, several = files
    columns: set[str] = {*earlier, *(OWN if earlier else ())}
    table = TableHeaders(unknown=frozenset(earlier))
    homes: dict[Path, str] = {}
    for given_header in several:
        header = [cell if isinstance(cell, tuple) else (cell,) for cell in given_header]
        file = columns_of(header, is_nested=is_nested)
        placed = table.placed(file, columns, OWN)
        now = dict(zip(header, placed.values(), strict=True))
        assert len({*now.values()} | OWN) == len(header) + len(OWN)
        for cell, column in now.items():
            shared = [other for other in header if other != cell and homes.get(other) == homes.get(cell)]
            # It moves only out of a column that it shared with another spelling of this file.
            assert homes.get(cell, column) == column or shared
        table = table.noting(placed, file, columns)
        columns |= {*now.values()} | OWN
        homes |= now
        for column in columns - OWN:
            keys = {column_key(".".join(cell)) for cell, home in homes.items() if home == column}
            assert len(keys) <= 1
        # Nothing of a file that was loaded is placed otherwise when it comes again, nor noted again.
        assert table.placed(file, columns, OWN) == placed
        assert table.noting(placed, file, columns) is table


def columns_of(paths: list[Path], *, is_nested: bool) -> FileColumns:
    return file_columns(tuple(column_names(paths, OWN)), tuple(paths), OWN, is_nested=is_nested)
