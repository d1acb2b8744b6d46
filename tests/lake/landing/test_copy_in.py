from __future__ import annotations

import os
from pathlib import Path

import pytest

from amci.kernel.errors import NotFound, UsageError
from amci.lake.landing.copy_in import copy_in


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    path = tmp_path / "raw"
    path.mkdir()
    return path


def wrote(path: Path, text: str = "a,b\n1,2\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def lying_in(raw: Path) -> list[str]:
    return sorted(str(p.relative_to(raw)) for p in raw.rglob("*") if p.is_file())


def test_a_file_goes_under_the_folder_that_is_named(tmp_path: Path, raw: Path) -> None:
    keys = copy_in([wrote(tmp_path / "r.csv")], raw, "acme/workflow=reach/")
    assert keys == ["acme/workflow=reach/r.csv"] == lying_in(raw)
    assert (raw / keys[0]).read_text() == "a,b\n1,2\n"


def test_a_folder_keeps_its_inner_layout(tmp_path: Path, raw: Path) -> None:
    wrote(tmp_path / "in" / "acme" / "x.csv")
    wrote(tmp_path / "in" / "y.csv")
    assert copy_in([tmp_path / "in"], raw, "t") == ["t/acme/x.csv", "t/y.csv"]


def test_an_existing_file_is_replaced_and_not_written_into(tmp_path: Path, raw: Path) -> None:
    source = wrote(tmp_path / "r.csv", "old")
    copy_in([source], raw)
    with (raw / "r.csv").open() as reader:
        source.write_text("newer")
        copy_in([source], raw)
        assert reader.read() == "old"
    assert (raw / "r.csv").read_text() == "newer"
    assert lying_in(raw) == ["r.csv"]


@pytest.mark.parametrize("name", [".hidden.csv", "r.csv.part", "r.tmp", "_SUCCESS", "a\nb.csv"])
def test_a_name_that_is_never_taken_is_refused_before_anything_is_brought(
    tmp_path: Path, raw: Path, name: str
) -> None:
    wrote(tmp_path / "in" / "a.csv")
    wrote(tmp_path / "in" / name)
    with pytest.raises(UsageError) as refused:
        copy_in([tmp_path / "in"], raw)
    assert name.replace("\n", "?") in str(refused.value)
    assert lying_in(raw) == []


@pytest.mark.parametrize("under", ["../out", "a/../../b", "/abs", "a\x00b", "a\nb"])
def test_a_folder_outside_the_root_or_with_control_characters_is_refused(
    tmp_path: Path, raw: Path, under: str
) -> None:
    with pytest.raises(UsageError):
        copy_in([wrote(tmp_path / "r.csv")], raw, under)


def test_a_folder_that_is_never_looked_at_is_refused(tmp_path: Path, raw: Path) -> None:
    with pytest.raises(UsageError, match=r"\.secret/r\.csv"):
        copy_in([wrote(tmp_path / "r.csv")], raw, ".secret")


def test_a_missing_source_is_not_found_and_nothing_is_brought(tmp_path: Path, raw: Path) -> None:
    with pytest.raises(NotFound):
        copy_in([wrote(tmp_path / "r.csv"), tmp_path / "gone.csv"], raw)
    assert lying_in(raw) == []


def test_an_empty_folder_is_not_found(tmp_path: Path, raw: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFound):
        copy_in([tmp_path / "empty"], raw)


def test_links_at_the_source_are_followed(tmp_path: Path, raw: Path) -> None:
    wrote(tmp_path / "real" / "x.csv", "x")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "folder").symlink_to(tmp_path / "real")
    (tmp_path / "in" / "y.csv").symlink_to(tmp_path / "real" / "x.csv")
    for link in (False, True):
        assert copy_in([tmp_path / "in"], raw, link=link) == ["folder/x.csv", "y.csv"]
        assert not (raw / "y.csv").is_symlink()
        assert (raw / "y.csv").read_text() == (raw / "folder" / "x.csv").read_text() == "x"


def test_a_link_that_leads_in_circles_is_refused(tmp_path: Path, raw: Path) -> None:
    wrote(tmp_path / "in" / "a" / "x.csv")
    (tmp_path / "in" / "a" / "up").symlink_to(tmp_path / "in")
    with pytest.raises(UsageError, match="link"):
        copy_in([tmp_path / "in"], raw)


def test_a_link_inside_the_root_does_not_lead_a_file_out_of_it(tmp_path: Path, raw: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (raw / "way").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="outside"):
        copy_in([wrote(tmp_path / "r.csv")], raw, "way")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_link_makes_a_hard_link_and_the_default_a_copy(tmp_path: Path, raw: Path) -> None:
    source = wrote(tmp_path / "r.csv")
    copy_in([source], raw, "linked", link=True)
    copy_in([source], raw, "copied")
    assert (raw / "linked" / "r.csv").samefile(source)
    assert not (raw / "copied" / "r.csv").samefile(source)


def test_link_of_what_is_there_already_changes_nothing(tmp_path: Path, raw: Path) -> None:
    source = wrote(tmp_path / "r.csv")
    for _ in range(2):
        copy_in([source], raw, link=True)
    assert lying_in(raw) == ["r.csv"]


def test_link_falls_back_to_a_copy_on_another_file_system(tmp_path: Path, raw: Path) -> None:
    places = [p for p in (Path("/dev/shm"), Path("/tmp"), Path.home()) if os.access(p, os.W_OK)]  # noqa: S108 - second file systems
    elsewhere = [place for place in places if place.stat().st_dev != raw.stat().st_dev]
    if not elsewhere:
        pytest.skip("no second file system here")
    source = elsewhere[0] / f"amci-test-{os.getpid()}.csv"
    try:
        source.write_text("far")
        (key,) = copy_in([source], raw, link=True)
    finally:
        source.unlink(missing_ok=True)
    assert (raw / key).read_text() == "far"


def test_two_files_for_one_place_are_refused(tmp_path: Path, raw: Path) -> None:
    with pytest.raises(UsageError, match=r"two files .* r\.csv"):
        copy_in([wrote(tmp_path / "a" / "r.csv"), wrote(tmp_path / "b" / "r.csv")], raw)


def test_a_file_where_a_folder_is_and_a_fifo_are_refused(tmp_path: Path, raw: Path) -> None:
    (raw / "r.csv").mkdir()
    with pytest.raises(UsageError, match="folder"):
        copy_in([wrote(tmp_path / "r.csv")], raw)
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(UsageError, match="regular"):
        copy_in([tmp_path / "pipe.csv"], raw)
