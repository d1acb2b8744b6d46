"""Files that can be read and may be wrong all the same: loaded and told, or refused, as their dataset says."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from amci.app.notice_text import notices_of
from amci.kernel.errors import QueryError

from ..lakes import reading

DAYS = [
    "day,units,price\n" + "".join(f"2026-11-{n:02},{n},{k}{n}.5\n" for n in range(1, 31)) for k in range(1, 5)
]
DAY = DAYS[3]


@pytest.fixture
def used(site: Any) -> Any:
    """A table that has had three files of thirty rows."""
    site.dataset("own", pattern="'{team}/{dataset}/{table}/{file}'")
    for n in range(3):
        site.put(f"adtech/own/t/{n}.csv", DAYS[n])
    site.drain()
    assert doubts(site) == []
    return site


def doubts(site: Any) -> list[tuple[str, str]]:
    """What is open, but for files that have the content of another one, as many here do."""
    found: list[tuple[str, str]] = site.state(
        "SELECT kind, says FROM doubts WHERE resolved_at IS NULL AND kind <> 'duplicate' ORDER BY doubt_id"
    )
    return found


HEADLESS = DAY.partition("\n")[2]
WRONG = {
    "another report": (DAY.replace("day,units,price", "sku,title,asin"), ["columns"]),
    "no header": (HEADLESS, ["header", "columns"]),
    "text where numbers were": ("day,units,price\n" + "2026-11-01,a,b\n" * 30, ["numbers", "word", "word"]),
    "shifted columns": ("price,day,units\n" + "blue,2026-11-01,red\n" * 30, ["numbers", "word", "word"]),
    "two rows of thirty": ("\n".join(DAY.splitlines()[:3]), ["rows"]),
    "a header alone": ("day,units,price\n", ["rows"]),
    "nothing": ("", ["rows"]),
    "half of the rows": ("\n".join(DAY.splitlines()[:16]), []),
    "a column more, one less": (DAY.replace("price", "cost"), []),
    "numbers as people write them": (
        "day,units,price\n" + '2026-11-01,"1.234,5",-$3\n' * 30,
        ["word", "word"],
    ),
    "no value where numbers were": ("day,units,price\n" + "2026-11-01,,\n" * 30, []),
}


@pytest.mark.spread(2)
@pytest.mark.parametrize("name", WRONG)
def test_what_differs_from_all_before_is_loaded_and_told(used: Any, name: str) -> None:
    text, kinds = WRONG[name]
    used.put("adtech/own/t/new.csv", text)
    used.drain()
    assert [kind for kind, _ in doubts(used)] == kinds
    rows = max(0, len(text.splitlines()) - 1)
    assert used.query("SELECT count(*) FROM adtech_own.t") == [(90 + rows,)]
    for _, says in doubts(used):
        assert "2026" not in says  # a header may be a row of values


def test_the_notice_of_a_doubt_says_it(used: Any) -> None:
    used.put("adtech/own/t/new.csv", "\n".join(DAY.splitlines()[:2]))
    used.drain()
    told = [
        n
        for run in used.runs(kind="light")
        for n in notices_of(run, "shop", used.clock.now())
        if n.event == "doubt"
    ]
    assert [notice.body for notice in told] == ["it has 1 rows, and files of the table have about 30"]


def test_a_dataset_may_refuse_what_is_doubtful_until_somebody_accepts_it(used: Any) -> None:
    used.dataset("own", pattern="'{team}/{dataset}/{table}/{file}'", doubt="refuse")
    used.put("adtech/own/t/new.csv", "\n".join(DAY.splitlines()[:3]))
    used.drain()
    count = "SELECT count(*) FROM adtech_own.t"
    assert used.query(count) == [(90,)]
    ((reason, hint),) = used.state("SELECT reason, hint FROM quarantine WHERE resolved_at IS NULL")
    assert reason == "it has 2 rows, and files of the table have about 30"
    assert hint.endswith("if it is right, `amci lake doubts --accept adtech/own/t/new.csv`")
    with used.engine() as engine:
        assert engine.accept(["new.csv"]) == 1
        engine.work(threading.Event())
    assert used.query(count) == [(92,)]
    assert doubts(used) == []
    used.reprocess()
    assert (used.query(count), doubts(used)) == ([(92,)], [])  # accepted once is accepted


def test_a_newer_version_ends_the_doubts_about_the_older(used: Any) -> None:
    used.put("adtech/own/t/new.csv", "\n".join(DAY.splitlines()[:2]))
    used.drain()
    assert len(doubts(used)) == 1
    used.put("adtech/own/t/new.csv", DAY)
    used.drain()
    assert doubts(used) == []


def test_a_version_with_far_fewer_rows_than_the_one_before_is_told(site: Any) -> None:
    site.dataset("own")
    site.dataset("strict", doubt="refuse")
    lines = DAY.splitlines(keepends=True)
    sizes = {"cut": (30, 14), "half": (30, 15), "small": (9, 1), "empty": (2, 0)}
    for name, (before, _) in sizes.items():
        site.put(f"adtech/own/{name}/1.csv", "".join(lines[: before + 1]))
    site.put("adtech/strict/t/1.csv", DAY)
    site.drain()
    for name, (_, after) in sizes.items():
        site.put(f"adtech/own/{name}/1.csv", "".join(lines[: after + 1]))
    site.put("adtech/strict/t/1.csv", lines[0])
    site.drain()
    told = "it has {} rows, and the version before it has {}".format
    refused = (told(0, 30),)
    assert sorted(says for _, says in doubts(site)) == [told(0, 2), *refused, told(14, 30)]
    assert site.state("SELECT reason FROM quarantine") == [refused]
    assert site.query("SELECT count(*) FROM adtech_strict.t") == [(30,)]
    site.put("adtech/own/cut/1.csv", DAY)
    site.drain()
    assert told(14, 30) not in [says for _, says in doubts(site)]


def test_a_table_with_few_files_or_small_ones_is_not_used_to_a_number_of_rows(site: Any) -> None:
    site.dataset("own", pattern="'{team}/{dataset}/{table}/{file}'")
    for n, text in enumerate([DAYS[0], DAYS[1], "day,units,price\n2026-11-01,1,1.5\n"]):
        site.put(f"adtech/own/t/{n}.csv", text)
        site.drain()
    for n in range(5):
        site.put(f"adtech/own/small/{n}.csv", "\n".join([*DAY.splitlines()[:11], f"2026-11-12,{n},1.5"]))
        site.drain()
    site.put("adtech/own/small/one.csv", "day,units,price\n2026-11-01,1,1.5\n")
    site.drain()
    assert doubts(site) == []


def test_rows_that_a_light_transform_makes_are_compared_and_those_of_a_heavy_one_are_not(site: Any) -> None:
    site.transform("few.sql", "SELECT day AS date, units FROM rows WHERE units <> '99'")
    site.transform("sum.sql", "SELECT sum(units) AS total FROM rows")
    site.dataset("own", light="few")
    site.dataset("sums", heavy="sum")
    for n in range(3):
        for dataset in ("own", "sums"):
            site.put(f"adtech/{dataset}/t/{n}.csv", DAYS[n])
    site.drain()
    for dataset in ("own", "sums"):
        site.put(f"adtech/{dataset}/t/new.csv", "day,units\n" + "2026-11-01,99\n" * 50 + "2026-11-01,1\n")
    site.drain()
    assert doubts(site) == [("rows", "it has 1 rows, and files of the table have about 30")]


@pytest.fixture
def days(site: Any) -> Any:
    """Two days of numbers."""
    site.dataset("own")
    for day, values in (("01", "10\n4"), ("02", "6\n4")):
        site.put(f"adtech/own/t/{day}.csv", f"spend\n{values}\n")
    return site


SPEND = "SELECT typeof(spend), sum(TRY_CAST(spend AS DOUBLE)) FROM adtech_own.t GROUP BY 1"


@pytest.mark.parametrize("is_one_batch", [False, True])
def test_one_word_among_numbers_is_told_and_the_mended_file_makes_them_numbers_again(
    days: Any, *, is_one_batch: bool
) -> None:
    if not is_one_batch:
        days.drain()
        assert days.query(SPEND) == [("BIGINT", 24)]
    days.put("adtech/own/t/03.csv", "spend\n11.50\nN/A\n")
    days.drain()
    assert days.query(SPEND) == [("VARCHAR", 35.5)]
    assert doubts(days) == [("word", "column spend becomes text: 'N/A' in row 2 is no number")]
    days.put("adtech/own/t/03.csv", "spend\n11.5\n2.0\n")
    days.drain()
    assert days.query(SPEND) == [("DOUBLE", 37.5)]
    assert doubts(days) == []


def test_the_error_of_a_sum_over_text_leads_to_the_word(days: Any) -> None:
    days.put("adtech/own/t/03.csv", "spend\n11.50\nN/A\n")
    days.drain()
    with reading(days.workspace) as lake, pytest.raises(QueryError) as error:
        lake.run("SELECT sum(spend) FROM adtech_own.t")
    assert "`amci lake doubts`" in error.value.hint


def test_a_table_of_text_becomes_one_of_numbers_if_all_is_loaded_again(days: Any) -> None:
    odd = days.put("adtech/own/t/03.csv", "spend\n11.50\nN/A\n")
    days.drain()
    days.put("adtech/own/t/04.csv", "spend\n1\n")
    days.drain()
    assert days.query(SPEND) == [("VARCHAR", 36.5)]
    odd.write_text("spend\n11.50\n\n")
    days.age(odd)
    days.drain()
    days.reprocess()
    assert days.query(SPEND) == [("DOUBLE", 36.5)]


@pytest.mark.spread(2)
@pytest.mark.parametrize(
    ("values", "word"),
    [
        ("7\nAnn Example\n--\n", "a word in row 2 is no number, and 1 more"),
        ("7\n$3.00\n", "'$3.00' in row 2 is no number"),
        ("7\n12,50\n", "a word in row 2 is no number"),
        ("7\nx@example.com\n", "a word in row 2 is no number"),
    ],
)
def test_a_word_is_shown_only_if_it_can_say_nothing_of_a_person(days: Any, values: str, word: str) -> None:
    days.drain()
    days.put("adtech/own/t/03.csv", f"spend\n{values}" if "," not in values else 'spend\n7\n"12,50"\n')
    days.drain()
    shown = word if "12,50" not in values else "'12,50' in row 2 is no number"
    assert doubts(days) == [("word", f"column spend becomes text: {shown}")]


def test_a_file_that_would_make_a_column_text_can_be_refused(days: Any) -> None:
    days.dataset("own", doubt="refuse")
    days.drain()
    days.put("adtech/own/t/03.csv", "spend\n11.50\nN/A\n")
    days.put("adtech/own/t/04.csv", "spend\n1\n")
    days.drain()
    assert days.query(SPEND) == [("BIGINT", 25)]
    assert days.quarantined() == {
        "adtech/own/t/03.csv": "column spend becomes text: 'N/A' in row 2 is no number"
    }
    with days.engine() as engine:
        engine.accept(["03.csv"])
        engine.work(threading.Event())
    assert days.query(SPEND) == [("VARCHAR", 36.5)]


def test_text_that_looks_like_numbers_stays_text(site: Any) -> None:
    """Strings of JSON, and columns that were text from the first on for other reasons."""
    site.dataset("own")
    site.put("adtech/own/t/1.json", '[{"code": "12", "sku": "x"}, {"code": "13", "sku": "7"}]')
    site.put("adtech/own/t/2.csv", "code,sku\n14,9\n")
    site.drain()
    site.put("adtech/own/t/2.csv", "code,sku\n15,10\n")
    site.drain()
    assert site.query("SELECT code, sku, typeof(code), typeof(sku) FROM adtech_own.t ORDER BY ALL") == [
        ("12", "x", "VARCHAR", "VARCHAR"),
        ("13", "7", "VARCHAR", "VARCHAR"),
        ("15", "10", "VARCHAR", "VARCHAR"),
    ]
    assert doubts(site) == []


def test_words_in_dates_and_in_rows_that_a_transform_sees_are_told(site: Any) -> None:
    site.transform("same.sql", "SELECT * FROM rows")
    site.dataset("own", heavy="same")
    site.put("adtech/own/t/1.csv", "day,is_new\n" + "2026-11-01,true\n" * 9 + "unknown,yes\n")
    site.drain()
    assert doubts(site) == [
        ("word", "column day becomes text: 'unknown' in row 10 is no date or time"),
        ("word", "column is_new becomes text: 'yes' in row 10 is no true or false"),
    ]


def test_a_header_of_years_is_told_until_the_table_has_them(site: Any) -> None:
    site.dataset("own")

    def told(**files: str) -> list[str]:
        for name, text in files.items():
            site.put(f"adtech/own/t/{name}.csv", text)
        site.drain()
        found = site.state("SELECT key FROM doubts JOIN objects USING (object_id) WHERE kind = 'header'")
        return sorted(Path(key).stem for (key,) in found)

    assert told(first="region,2024,2025\nnorth,1,2\n") == ["first"]
    new = {
        "later": "2025,region,2024\n3,north,1\n",
        "more": "region,2024,2025,2026\nnorth,1,2,3\n",
        "row": "south,2024,2025\n1,1,2\n",
    }
    assert told(**new) == ["first", "more", "row"]
    # Its own columns say nothing, also not when it is read again or replaced.
    site.reprocess()
    assert told(first="region,2024,2025\nnorth,1,5\n") == ["first", "first", "more", "row"]
    with site.engine() as engine:
        engine.accept(["first.csv"])
    assert told(first="region,2024,2025\nnorth,1,6\n") == ["first", "first", "more", "row"]


def test_a_total_is_told_and_not_refused_unless_a_transform_sees_it(site: Any) -> None:
    site.transform("keep.sql", "SELECT * FROM rows WHERE day <> 'Total'")
    site.dataset("own", doubt="refuse")
    site.dataset("changed", heavy="keep")
    site.dataset("light", light="keep")
    for dataset in ("own", "changed", "light"):
        site.put(f"adtech/{dataset}/t/1.csv", "day,units\nMonday,1\nTuesday,2\nTotal,3\n")
    site.drain()
    assert site.state("SELECT key, kind FROM doubts JOIN objects USING (object_id)") == [
        ("adtech/own/t/1.csv", "total")
    ]
    counts = [
        site.query(f"SELECT count(*) FROM adtech_{dataset}.t") for dataset in ("own", "changed", "light")
    ]
    assert counts == [[(3,)], [(2,)], [(2,)]]
