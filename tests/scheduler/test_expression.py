from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings, strategies as st

from amci.kernel.errors import UsageError
from amci.scheduler.expression import Expression, parse

ZONE = ZoneInfo("UTC")
BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def fires(expression: str, since: str, count: int, zone: ZoneInfo = ZONE) -> list[str]:
    found = parse(expression).fires(at(since), datetime.max.replace(tzinfo=UTC), zone)
    return [f"{fire:%Y-%m-%dT%H:%M}" for fire in islice(found, count)]


@pytest.mark.parametrize(
    ("expression", "since", "expected"),
    [
        # The solution's sample, and its notebook's «every Sunday», which is Saturday in EventBridge.
        ("cron(0/15 * * * ? *)", "2026-11-01T06:00", ["2026-11-01T06:15", "2026-11-01T06:30"]),
        ("cron(0 23 ? * 7 *)", "2026-11-01T00:00", ["2026-11-07T23:00", "2026-11-14T23:00"]),
        ("cron(0 23 ? * 1 *)", "2026-11-01T00:00", ["2026-11-01T23:00", "2026-11-08T23:00"]),
        ("cron(0 23 ? * SUN *)", "2026-11-01T00:00", ["2026-11-01T23:00", "2026-11-08T23:00"]),
        ("cron(0 9 ? * mon-fri *)", "2026-11-05T10:00", ["2026-11-06T09:00", "2026-11-09T09:00"]),
        ("cron(0 9 ? * FRI-MON *)", "2026-11-01T10:00", ["2026-11-02T09:00", "2026-11-06T09:00"]),
        ("cron(0 22-1/2 * * ? *)", "2026-11-01T12:00", ["2026-11-01T22:00", "2026-11-02T00:00"]),
        ("cron(1/10 9 * * ? *)", "2026-11-01T09:45", ["2026-11-01T09:51", "2026-11-02T09:01"]),
        ("cron(59/15 9 * * ? *)", "2026-11-01T00:00", ["2026-11-01T09:59", "2026-11-02T09:59"]),
        ("cron(0 9 1 JAN,JUL ? *)", "2026-11-01T00:00", ["2027-01-01T09:00", "2027-07-01T09:00"]),
        ("cron(0 9 1 NOV-FEB ? *)", "2026-12-02T00:00", ["2027-01-01T09:00", "2027-02-01T09:00"]),
        ("cron(0 9 L * ? *)", "2027-02-01T00:00", ["2027-02-28T09:00", "2027-03-31T09:00"]),
        ("cron(0 9 LW * ? *)", "2027-01-01T00:00", ["2027-01-29T09:00", "2027-02-26T09:00"]),
        ("cron(0 9 1W * ? *)", "2026-07-20T00:00", ["2026-08-03T09:00", "2026-09-01T09:00"]),
        ("cron(0 9 15W * ? *)", "2026-07-20T00:00", ["2026-08-14T09:00", "2026-09-15T09:00"]),
        ("cron(0 9 15W * ? *)", "2026-11-01T00:00", ["2026-11-16T09:00", "2026-12-15T09:00"]),
        ("cron(0 9 31W * ? *)", "2026-05-01T00:00", ["2026-05-29T09:00", "2026-07-31T09:00"]),
        ("cron(0 9 1,L * ? *)", "2026-11-01T10:00", ["2026-11-30T09:00", "2026-12-01T09:00"]),
        ("cron(0 9 ? * L *)", "2026-11-01T00:00", ["2026-11-07T09:00", "2026-11-14T09:00"]),
        ("cron(0 9 ? * 5L *)", "2026-11-01T00:00", ["2026-11-26T09:00", "2026-12-31T09:00"]),
        ("cron(0 9 ? * THUL *)", "2026-11-01T00:00", ["2026-11-26T09:00", "2026-12-31T09:00"]),
        ("cron(0 9 ? * 3#2 *)", "2026-11-01T00:00", ["2026-11-10T09:00", "2026-12-08T09:00"]),
        ("cron(0 9 ? * SUN#5 *)", "2026-11-01T00:00", ["2026-11-29T09:00", "2027-01-31T09:00"]),
        ("cron(0 0 29 2 ? *)", "2026-11-01T00:00", ["2028-02-29T00:00", "2032-02-29T00:00"]),
        ("cron(0 0 29 2 ? *)", "2096-03-01T00:00", ["2104-02-29T00:00"]),
        ("cron(0 0 1 1 ? 2027-2199/100)", "2026-11-01T00:00", ["2027-01-01T00:00", "2127-01-01T00:00"]),
        ("rate(1 minute)", "2026-11-01T06:00", ["2026-11-01T06:01", "2026-11-01T06:02"]),
        ("rate(7 hours)", "1970-01-01T00:00", ["1970-01-01T07:00", "1970-01-01T14:00"]),
        ("rate(2 days)", "2026-11-01T06:00", ["2026-11-03T00:00", "2026-11-05T00:00"]),
        ("at(2027-01-02T03:04:00)", "2026-11-01T06:00", ["2027-01-02T03:04"]),
        ("0 9 * * 1-5", "2026-11-06T10:00", ["2026-11-09T09:00", "2026-11-10T09:00"]),
        ("0 9 * * 0", "2026-11-02T00:00", ["2026-11-08T09:00", "2026-11-15T09:00"]),
        ("0 9 * * 7", "2026-11-02T00:00", ["2026-11-08T09:00", "2026-11-15T09:00"]),
        ("0 9 * * fri-7", "2026-11-02T00:00", ["2026-11-06T09:00", "2026-11-07T09:00"]),
        ("0 9 * * 5-1/2", "2026-11-06T10:00", ["2026-11-08T09:00", "2026-11-13T09:00"]),
        ("0 9 * * 1/2", "2026-11-06T10:00", ["2026-11-09T09:00", "2026-11-11T09:00"]),
        ("0 9 * * 7/2", "2026-11-02T00:00", ["2026-11-08T09:00", "2026-11-15T09:00"]),
        ("0 0 13 * 5", "2026-11-01T00:00", ["2026-11-06T00:00", "2026-11-13T00:00"]),
        ("0 0 14 * fri", "2026-11-12T00:00", ["2026-11-13T00:00", "2026-11-14T00:00"]),
        ("0 0 13 * */1", "2026-11-01T00:00", ["2026-11-13T00:00", "2026-12-13T00:00"]),
        ("custom(H * *)", "2026-11-01T06:30", ["2026-11-01T07:00", "2026-11-01T08:00"]),
        ("custom(D * 5)", "2026-11-01T06:30", ["2026-11-02T05:00", "2026-11-03T05:00"]),
        ("custom(W 0 5)", "2026-11-01T06:30", ["2026-11-02T05:00", "2026-11-09T05:00"]),
        ("custom(M 31 5)", "2026-11-01T06:30", ["2026-12-31T05:00", "2027-01-31T05:00"]),
    ],
)
def test_an_expression_fires_when_its_maker_says(expression: str, since: str, expected: list[str]) -> None:
    assert fires(expression, since, len(expected)) == expected


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("cron(38 * * * *)", "cron(…) has 5 fields instead of six"),
        ("cron(61 * * * ? *)", "minute: '61' should be from 0 to 59"),
        ("cron(0 24 * * ? *)", "hour: '24' should be from 0 to 23"),
        ("cron(0 9 32 * ? *)", "day-of-month: '32' should be from 1 to 31"),
        ("cron(0 9 0W * ? *)", "day-of-month: '0W' should be from 1 to 31"),
        ("cron(0 9 W * ? *)", "day-of-month: 'W' cannot be read"),
        ("cron(0 9 L-3 * ? *)", "day-of-month: 'L-3' cannot be read"),
        ("cron(0 9 1 13 ? *)", "month: '13' should be from 1 to 12"),
        ("cron(0 9 1 MAY-JUNE ? *)", "month: 'MAY-JUNE' cannot be read"),
        ("cron(0 9 ? * 0 *)", "day-of-week: '0' should be from 1 to 7"),
        ("cron(0 9 ? * 3#6 *)", "day-of-week: '3#6' should have 1 to 5 after the #"),
        ("cron(0 9 ? * 3#1,6#3 *)", "day-of-week: '3#1,6#3' should have nothing beside the #"),
        ("cron(0 9 ? * MON 1969)", "year: '1969' should be from 1970 to 2199"),
        ("cron(0 9 ? * MON 2030-2027)", "year: '2030-2027' ends before it begins"),
        ("cron(0 9 * * * *)", "day-of-month and day-of-week: exactly one of the two should be ?"),
        ("cron(0 9 ? * ? *)", "day-of-month and day-of-week: exactly one of the two should be ?"),
        ("cron(? 9 * * ? *)", "minute: '?' cannot be read"),
        ("cron(0/0 9 * * ? *)", "minute: '0/0' should have a step from 1 to 59"),
        ("cron(0/90 9 * * ? *)", "minute: '0/90' should have a step from 1 to 59"),
        ("cron(*-5 9 * * ? *)", "minute: '*-5' cannot be read"),
        ("cron(1,,2 9 * * ? *)", "minute: an empty value cannot be read"),
        ("cron(٣ 9 * * ? *)", "minute: '٣' cannot be read"),
        ("rate(5 minute)", "rate(…): unit: '5 minute' mixes singular and plural"),
        ("rate(1 minutes)", "rate(…): unit: '1 minutes' mixes singular and plural"),
        ("rate(0 minutes)", "rate(…): should be a whole number of at least 1 and minutes, hours or days"),
        ("rate(2 weeks)", "rate(…): should be a whole number of at least 1 and minutes, hours or days"),
        ("rate(99999 days)", "rate(…): value: should be a hundred years at most"),
        ("at(2027-02-30T00:00:00)", "at(…): '2027-02-30T00:00:00' is not a date and time from 1970 to 2199"),
        ("at(2027-02-03)", "at(…): '2027-02-03' is not a date and time from 1970 to 2199"),
        (
            "at(2027-02-03T00:00:00Z)",
            "at(…): '2027-02-03T00:00:00Z' is not a date and time from 1970 to 2199",
        ),
        ("custom(D * 05)", "custom(…): 'D * 05' cannot be read"),
        ("custom(W 7 5)", "custom(…): 'W 7 5' cannot be read"),
        ("every(5 minutes)", "there is no expression every(…)"),
        ("60 * * * *", "minute: '60' should be from 0 to 59"),
        ("0 9 * * 8", "day-of-week: '8' should be from 0 to 7"),
        ("0 9 L * *", "day-of-month: 'L' cannot be read"),
        ("0 9 * *", "a schedule expression cannot have 4 fields"),
        ("", "a schedule expression cannot have 0 fields"),
    ],
)
def test_a_mistake_is_named_with_its_field_and_a_hint(expression: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(expression)
    assert str(caught.value) == says
    assert caught.value.hint


def test_five_fields_inside_cron_are_told_what_eventbridge_wants() -> None:
    with pytest.raises(UsageError) as caught:
        parse("cron(38 * * * *)")
    assert "cron(minute hour day-of-month month day-of-week year)" in caught.value.hint
    assert "stands without cron(…)" in caught.value.hint


@pytest.mark.parametrize(
    ("expression", "last"),
    [
        ("cron(0 0 29 2 ? *)", "2196-02-29T00:00"),
        ("cron(59 23 31 12 ? *)", "2199-12-31T23:59"),
        ("cron(0 0 1 1 ? 2027)", "2027-01-01T00:00"),
        ("at(2027-01-01T00:00:00)", "2027-01-01T00:00"),
    ],
)
def test_after_its_last_fire_there_is_none(expression: str, last: str) -> None:
    parsed = parse(expression)
    assert parsed.next_after(at(last) - timedelta(microseconds=1), ZONE) == at(last)
    assert parsed.next_after(at(last), ZONE) is None


@pytest.mark.parametrize("expression", ["cron(0 0 30 2 ? *)", "0 0 31 4,6 *", "at(2027-03-28T02:30:00)"])
def test_a_day_that_never_comes_is_looked_for_only_until_2199(expression: str) -> None:
    assert parse(expression).next_after(at("2026-11-01T00:00"), BERLIN) is None


@pytest.mark.parametrize("expression", ["* * * * *", "rate(1 minute)", "cron(* * * * ? *)"])
def test_the_ends_of_the_calendar_are_no_trouble(expression: str) -> None:
    parsed = parse(expression)
    for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago"):
        assert parsed.next_after(datetime.max.replace(tzinfo=UTC), ZoneInfo(zone)) is None
        first = parsed.next_after(datetime.min.replace(tzinfo=UTC), ZoneInfo(zone))
        assert first is not None
        assert abs(first - at("1970-01-01T00:00")) < timedelta(days=1)


def test_a_rate_begins_at_its_start_and_counts_elapsed_time() -> None:
    start = datetime(2027, 3, 27, 9, 30, tzinfo=BERLIN)
    daily = parse("rate(1 day)", start)
    assert daily.next_after(at("2020-01-01T00:00"), BERLIN) == start
    # The night in between has lost an hour, so the clocks show one more.
    second = daily.next_after(start, BERLIN)
    assert second == start.astimezone(UTC) + timedelta(hours=24)
    assert f"{second.astimezone(BERLIN):%H:%M}" == "10:30"


def test_a_rate_needs_no_memory() -> None:
    rate = parse("rate(7 hours)")
    all_of_them = list(rate.fires(at("2026-11-01T00:00"), at("2026-11-04T00:00"), ZONE))
    again = list(rate.fires(all_of_them[3], at("2026-11-04T00:00"), ZONE))
    assert again == all_of_them[4:]


def test_fires_are_those_after_since_and_up_to_until() -> None:
    hourly = parse("0 * * * *")
    found = list(hourly.fires(at("2026-11-01T06:00"), at("2026-11-01T08:00"), ZONE))
    assert found == [at("2026-11-01T07:00"), at("2026-11-01T08:00")]


NUMBERS = {"minute": (0, 59), "hour": (0, 23), "day": (1, 31), "month": (1, 12), "weekday": (1, 7)}
MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
WEEKDAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]


@st.composite
def field(draw: st.DrawFn, kind: str) -> tuple[str, frozenset[int]]:
    """A field of a cron expression and the numbers it means, made side by side."""
    low, high = NUMBERS[kind]
    number = st.integers(low, high)
    form = draw(st.sampled_from(["star", "step", "from", "list", "range", "name"]))
    if form == "star":
        return "*", frozenset(range(low, high + 1))
    if form == "step":
        step = draw(st.integers(1, high))
        return f"*/{step}", frozenset(range(low, high + 1, step))
    if form == "from":
        first, step = draw(number), draw(st.integers(1, high))
        return f"{first}/{step}", frozenset(range(first, high + 1, step))
    if form == "range":
        first, last = sorted([draw(number), draw(number)])
        return f"{first}-{last}", frozenset(range(first, last + 1))
    chosen = draw(st.lists(number, min_size=1, max_size=4))
    names = {"month": MONTHS, "weekday": WEEKDAYS}.get(kind) if form == "name" else None
    return ",".join(names[n - 1] if names else str(n) for n in chosen), frozenset(chosen)


@st.composite
def eventbridge(draw: st.DrawFn) -> tuple[str, dict[str, frozenset[int]]]:
    fields = {kind: draw(field(kind)) for kind in NUMBERS}
    ignored = draw(st.sampled_from(["day", "weekday"]))
    fields[ignored] = ("?", frozenset(range(32)))
    texts = [fields[kind][0] for kind in NUMBERS]
    return f"cron({' '.join(texts)} *)", {kind: numbers for kind, (_, numbers) in fields.items()}


def matches(label: datetime, means: dict[str, frozenset[int]]) -> bool:
    weekday = label.isoweekday() % 7 + 1
    shown = {
        "minute": label.minute, "hour": label.hour, "day": label.day, "month": label.month, "weekday": weekday
    }  # fmt: skip
    return all(shown[kind] in means[kind] for kind in NUMBERS)


def naive(year: int) -> datetime:
    return datetime(year, 1, 1)  # noqa: DTZ001 - hypothesis wants its bounds so


MOMENTS = st.datetimes(naive(2024), naive(2031), timezones=st.just(UTC))
ZONES = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Africa/Cairo"]
).map(ZoneInfo)


@settings(deadline=None)
@given(eventbridge(), MOMENTS, ZONES)
def test_a_fire_is_later_and_minimal(
    written: tuple[str, dict[str, frozenset[int]]], moment: datetime, zone: ZoneInfo
) -> None:
    text, means = written
    fire = parse(text).next_after(moment, zone)
    until = moment + timedelta(days=1)
    if fire is not None:
        assert fire > moment
        assert matches(fire.astimezone(zone), means)
        assert fire.astimezone(zone).fold == 0
        until = min(fire, until)
    minute = moment.replace(second=0, microsecond=0) + timedelta(minutes=1)
    while minute < until:
        local = minute.astimezone(zone)
        assert local.fold or not matches(local, means)
        minute += timedelta(minutes=1)


EXPRESSIONS = st.one_of(
    eventbridge().map(lambda written: parse(written[0])),
    st.tuples(*(field(kind) for kind in NUMBERS)).map(lambda f: parse(" ".join(text for text, _ in f))),
    st.tuples(st.integers(2, 9999), st.sampled_from(["minutes", "hours", "days"])).map(
        lambda rate: parse(f"rate({rate[0]} {rate[1]})")
    ),
    st.datetimes(naive(1970), naive(2199)).map(lambda d: parse(f"at({d:%Y-%m-%dT%H:%M:%S})")),
    st.tuples(st.sampled_from(["H * *", "D * 5", "W 6 23", "M 31 0"])).map(
        lambda c: parse(f"custom({c[0]})")
    ),
)


@settings(deadline=None)
@given(EXPRESSIONS)
def test_what_an_expression_says_of_itself_is_the_same_expression(expression: Expression) -> None:
    assert parse(str(expression)) == expression
    assert str(parse(str(expression))) == str(expression)


@settings(deadline=None)
@given(EXPRESSIONS, MOMENTS, ZONES)
def test_wherever_one_looks_from_the_next_fire_stays_the_next(
    expression: Expression, moment: datetime, zone: ZoneInfo
) -> None:
    fire = expression.next_after(moment, zone)
    if fire is not None:
        assert expression.next_after(moment + (fire - moment) / 2, zone) == fire
        assert expression.next_after(fire - timedelta(microseconds=1), zone) == fire


@settings(deadline=None)
@given(st.text(alphabet="cronate() *?/,-#LW0123456789MONhms:T", max_size=30))
def test_any_text_is_read_or_refused_with_a_hint(text: str) -> None:
    hints = []
    try:
        parse(text)
    except UsageError as error:
        hints.append(error.hint)
    assert all(hints)
