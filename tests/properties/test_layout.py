from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given, strategies as st

from amci.kernel.layout import ResultName, file_stem, hive_path, hive_value

BASE = st.text(st.characters(exclude_characters=".", exclude_categories=["Cs", "Cc"]), min_size=1)
MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis wants them naive


@given(
    moment=MOMENTS,
    is_date_only=st.booleans(),
    base=BASE,
    ending=st.sampled_from(["csv", "csv.gz", "csv.zst"]),
)
def test_parse_is_the_inverse_of_format(
    *, moment: datetime, is_date_only: bool, base: str, ending: str
) -> None:
    whole = (
        moment.replace(hour=0, minute=0, second=0, microsecond=0)
        if is_date_only
        else moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    )
    name = ResultName(whole, is_date_only, base, ending)
    assert ResultName.parse(str(name)) == name


@given(values=st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1, max_size=3))
def test_a_partition_path_has_one_folder_for_each_value_and_never_leaves(values: list[str]) -> None:
    path = hive_path(tuple((f"p{n}", value) for n, value in enumerate(values)))
    folders = path.split("/")
    assert len(folders) == len(values)
    assert all(folder.startswith(f"p{n}=") for n, folder in enumerate(folders))
    assert [hive_value(folder.partition("=")[2]) for folder in folders] == [
        value.replace("\0", "%00") for value in values
    ]


@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_a_stem_is_one_short_file_name(text: str) -> None:
    stem = file_stem(text)
    assert len(stem.encode()) <= 120
    assert not set("/\0\n*?['\"") & set(stem)
