"""The worked examples of AMC's documentation, number for number (amc-api 3.3)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from amci.amcsql.privacy.thresholds import Privacy

from .amcside import loaded, result
from .data import BaseRow, source_of

IMPRESSIONS, CLICKS = "dsp_impressions", "dsp_clicks"
DIMENSIONS = (
    ("user_id", "STRING", "VERY_HIGH"),
    ("event_date", "STRING", "LOW"),
    ("device_type", "STRING", "LOW"),
    ("postal_code", "STRING", "HIGH"),
)
SOURCES = {
    IMPRESSIONS: source_of(IMPRESSIONS, [*DIMENSIONS, ("impressions", "LONG", "NONE")]),
    CLICKS: source_of(CLICKS, [*DIMENSIONS, ("clicks", "LONG", "NONE")]),
}
UNION = """
    WITH e AS (
      SELECT user_id, {keys}, impressions, 0 AS clicks FROM dsp_impressions
      UNION ALL
      SELECT user_id, {keys}, 0 AS impressions, clicks FROM dsp_clicks
    )
    SELECT SUM(impressions) AS impressions, SUM(clicks) AS clicks, {keys} FROM e GROUP BY {keys}
"""
JOIN = """
    WITH i AS (SELECT {keys}, SUM(impressions) AS impressions FROM dsp_impressions GROUP BY {keys}),
    c AS (SELECT {keys}, SUM(clicks) AS clicks FROM dsp_clicks GROUP BY {keys})
    SELECT i.impressions, c.clicks, {of_i} FROM i JOIN c ON {equal}
"""
USERS = """
    WITH e AS (
      SELECT user_id, {keys}, SUM(impressions) AS impressions, 0 AS clicks FROM dsp_impressions
      GROUP BY user_id, {keys}
      UNION ALL
      SELECT user_id, {keys}, 0 AS impressions, SUM(clicks) AS clicks FROM dsp_clicks GROUP BY user_id, {keys}
    )
    SELECT SUM(impressions) AS impressions, SUM(clicks) AS clicks, {keys} FROM e GROUP BY {keys}
"""
DEVICES = [
    (1100, 300, "iPhone", "11111", 50, 13),
    (200, 100, "Android", "22222", 30, 8),
    (1300, 500, "Android", "33333", 133, 87),
    (1700, 700, "Android", "44444", 108, 359),
]
DAYS = [
    (5, 1, "10/1/2023", 5, 1),
    (10, 2, "10/2/2023", 7, 2),
    (4, 2, "10/3/2023", 1, 1),
    (5, 1, "10/4/2023", 1, 1),
]


def asked(shape: str, *keys: str) -> str:
    equal = " AND ".join(f"i.{key} = c.{key}" for key in keys)
    return shape.format(keys=", ".join(keys), of_i=", ".join(f"i.{key}" for key in keys), equal=equal)


def spread(column: str, total: int, users: int, first: int = 1, **dimensions: str) -> Iterable[BaseRow]:
    """So many users who share a total as evenly as it goes."""
    nothing = dict.fromkeys(name for name, _, _ in DIMENSIONS)
    for i in range(users):
        part = total // users + (i < total % users)
        yield first + i, {**nothing, "user_id": f"u{first + i}", **dimensions, column: part}


def load_rows(impressions: Iterable[BaseRow], clicks: Iterable[BaseRow] = ()) -> None:
    loaded({IMPRESSIONS: list(impressions), CLICKS: list(clicks)}, SOURCES)


def rows(sql: str, **privacy: Any) -> list[tuple[Any, ...]]:
    """What is shown, sorted, and behind it what privacy adds."""
    lines = result(sql, Privacy(**{"behavior": "REMOVE_VALUES", **privacy}), SOURCES)
    return sorted(((*line.values, *line.extra.values()) for line in lines), key=repr)


def ordered(*several: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    return sorted(several, key=repr)


@pytest.fixture
def devices() -> None:
    impressions, clicks = [], []
    for i, c, device, postal, seen, clicked in DEVICES:
        impressions += spread("impressions", i, seen, device_type=device, postal_code=postal)
        clicks += spread("clicks", c, clicked, device_type=device, postal_code=postal)
    load_rows(impressions, clicks)


@pytest.fixture
def days() -> None:
    impressions, clicks = [], []
    for i, c, day, seen, clicked in DAYS:
        impressions += spread("impressions", i, seen, event_date=day)
        clicks += spread("clicks", c, clicked, event_date=day)
    load_rows(impressions, clicks)


SHAPES = pytest.mark.parametrize("shape", [UNION, JOIN, USERS], ids=["union", "join", "users"])
DEVICE_KEYS = ("device_type", "postal_code")


@SHAPES
@pytest.mark.usefixtures("devices")
def test_only_the_postal_code_with_a_hundred_users_of_both_tables_is_left(shape: str) -> None:
    found = rows(asked(shape, *DEVICE_KEYS), behavior="REMOVE_ROWS", user_count="users")
    assert found == [(1700, 700, "Android", "44444", 100)]


@SHAPES
@pytest.mark.usefixtures("devices")
def test_postal_codes_with_too_few_users_are_emptied_and_added_up_by_device(shape: str) -> None:
    assert rows(asked(shape, *DEVICE_KEYS), discriminator="is_filtered") == ordered(
        (1100, 300, "iPhone", None, True),
        (1500, 600, "Android", None, True),
        (1700, 700, "Android", "44444", False),
    )


@SHAPES
@pytest.mark.usefixtures("days")
def test_only_the_day_with_two_users_of_both_tables_is_left(shape: str) -> None:
    found = rows(asked(shape, "event_date"), behavior="REMOVE_ROWS", user_count="users")
    assert found == [(10, 2, "10/2/2023", 2)]


@SHAPES
@pytest.mark.usefixtures("days")
def test_days_with_one_user_are_emptied_and_added_up(shape: str) -> None:
    assert rows(asked(shape, "event_date"), discriminator="is_filtered") == ordered(
        (10, 2, "10/2/2023", False),
        (14, 4, None, True),
    )


@SHAPES
@pytest.mark.usefixtures("devices")
def test_the_user_count_is_the_lowest_of_both_tables(shape: str) -> None:
    found = rows(asked(shape, *DEVICE_KEYS), discriminator="is_filtered", user_count="users")
    assert {(row[2], row[3]): row[-1] for row in found if row[2] == "iPhone" or not row[4]} == {
        ("iPhone", None): 13,
        ("Android", "44444"): 100,
    }


POSTAL = "SELECT postal_code, SUM(impressions) AS n FROM dsp_impressions GROUP BY postal_code"
TWICE = """
    SELECT postal_code, SUM(n) AS n FROM (
      SELECT user_id, postal_code, impressions AS n FROM dsp_impressions WHERE device_type = 'phone'
      UNION ALL
      SELECT user_id, postal_code, impressions AS n FROM dsp_impressions WHERE device_type = 'tv'
    ) GROUP BY postal_code
"""


def of_users(users: int, total: int, first: int = 1, device: str = "tv") -> list[BaseRow]:
    return list(spread("impressions", total, users, first, device_type=device, postal_code="11111"))


@pytest.mark.parametrize(
    ("sql", "impressions", "reason", "count"),
    [
        (POSTAL, of_users(97, 970), "97 'dsp_impressions' users < 100 required", 97),
        (POSTAL, of_users(150, 97), "97 'dsp_impressions' effective users < 100 required", 97),
        (
            POSTAL,
            of_users(149, 149) + of_users(1, 1000, first=200),
            "1 'dsp_impressions' equivalent users < 2 required",
            1,
        ),
        # The most standard of several causes is told.
        (POSTAL, of_users(97, 50), "97 'dsp_impressions' users < 100 required", 50),
        (
            TWICE,
            of_users(97, 970, device="phone") + of_users(150, 1500),
            "97 'dsp_impressions' (path 1 of 2) users < 100 required",
            97,
        ),
        (
            TWICE,
            of_users(150, 1500, device="phone") + of_users(97, 970),
            "97 'dsp_impressions' (path 2 of 2) users < 100 required",
            97,
        ),
    ],
    ids=["users", "effective", "equivalent", "several", "first path", "second path"],
)
def test_the_reason_says_who_is_too_few(
    sql: str, impressions: Sequence[BaseRow], reason: str, count: int
) -> None:
    load_rows(impressions)
    total = sum(values["impressions"] for _, values in impressions)
    found = rows(sql, discriminator="is_filtered", user_count="users", reason="why")
    assert found == [(None, total, True, count, reason)]


def test_a_row_that_lacks_nothing_has_no_reason() -> None:
    load_rows(of_users(100, 1000))
    found = rows(POSTAL, discriminator="is_filtered", user_count="users", reason="why")
    assert found == [("11111", 1000, False, 100, None)]


def test_where_two_tables_lack_users_one_of_them_is_named() -> None:
    load_rows(
        spread("impressions", 1100, 50, device_type="tv", postal_code="1"),
        spread("clicks", 300, 13, device_type="tv", postal_code="1"),
    )
    (found,) = rows(asked(UNION, *DEVICE_KEYS), reason="why")
    assert found[-1] in {"50 'dsp_impressions' users < 100 required", "13 'dsp_clicks' users < 100 required"}


@pytest.mark.parametrize(
    ("impressions", "switch"),
    [
        (of_users(150, 97), "has_effective_users"),
        (of_users(149, 149) + of_users(1, 1000, first=200), "has_equivalent_users"),
    ],
    ids=["effective", "equivalent"],
)
def test_the_checks_of_metrics_can_be_switched_off(impressions: Sequence[BaseRow], switch: str) -> None:
    load_rows(impressions)
    assert rows(POSTAL, behavior="REMOVE_ROWS") == []
    total = sum(values["impressions"] for _, values in impressions)
    assert rows(POSTAL, behavior="REMOVE_ROWS", **{switch: False}) == [("11111", total)]


def test_ninety_nine_users_and_one_unknown_are_too_few() -> None:
    unknown = [(None, {**of_users(1, 10)[0][1], "user_id": None})]
    load_rows([*of_users(99, 990), *unknown])
    assert rows(POSTAL, behavior="REMOVE_ROWS") == []
    load_rows([*of_users(100, 1000), *unknown])
    assert rows(POSTAL, behavior="REMOVE_ROWS") == [("11111", 1010)]
