"""A header is a column of a table: a function, one to one, for any headers, files, orders and batches."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings, strategies as st

from amci.kernel.names import column_key, column_names, sanitized
from amci.lake.catalog.headers import TableHeaders, file_columns

OWN = frozenset({"_row", "tenant"})
#: Headers that lose letters or meet, and headers that are taken or look like names that were made.
MEETING = "userId,userid,User ID,user_id,Spend ($),Spend (€),spend_,spend_dollar,価格,価格 ,数量"
TAKEN = ",-,column_2,unnamed,tenant,tenant_2,a,A,Ａ,a_2,a\n2,CTR (%)"
HEADERS = st.one_of(st.sampled_from(f"{MEETING},{TAKEN}".split(",")), st.text(max_size=4))
FILES = st.lists(st.lists(HEADERS, min_size=1, max_size=5, unique=True), min_size=1, max_size=6)


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


@settings(max_examples=300)
@given(
    files=FILES,
    earlier=st.lists(st.sampled_from(["spend_", "column_1", "column_2", "a", "user_id"]), unique=True),
)
def test_a_header_has_its_column_in_every_file(files: list[list[str]], earlier: list[str]) -> None:
    columns: set[str] = {*earlier, *(OWN if earlier else ())}
    table = TableHeaders(unknown=frozenset(earlier))
    homes: dict[str, str] = {}
    for header in files:
        file = file_columns(tuple(column_names(header, OWN)), tuple((cell,) for cell in header), OWN)
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
            keys = {column_key(cell) for cell, home in homes.items() if home == column}
            assert len(keys) <= 1
        # Nothing of a file that was loaded is placed otherwise when it comes again, nor noted again.
        assert table.placed(file, columns, OWN) == placed
        assert table.noting(placed, file, columns) is table
