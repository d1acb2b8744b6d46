from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import assume, given, strategies as st

from amci.kernel import dates
from amci.kernel.errors import UsageError
from amci.workflows.definitions.time_windows import sliding

NAMES = ["TODAY", "FIRSTDAYOFOFFSETMONTH", "LASTDAYOFOFFSETMONTH", "FIFTEENTHDAYOFOFFSETMONTH"]
ZONES = [
    ZoneInfo(name)
    for name in ("UTC", "America/New_York", "Asia/Kolkata", "Pacific/Kiritimati", "Africa/Cairo")
]
LOCAL = datetime.fromisoformat
MOMENTS = st.datetimes(LOCAL("0002-01-01"), LOCAL("9998-12-31"), timezones=st.just(UTC))


def spaced(text: str) -> st.SearchStrategy[str]:
    return st.tuples(st.text(" \t\n", max_size=3), st.text(" \t\n", max_size=3)).map(
        lambda b: b[0] + text + b[1]
    )


@st.composite
def dynamic(draw: st.DrawFn) -> tuple[str, str, int]:
    name, offset = draw(st.sampled_from(NAMES)), draw(st.integers(-20_000, 20_000))
    sign = draw(st.sampled_from(["", "+"])) if offset >= 0 else ""
    case = draw(st.sampled_from([str.upper, str.lower, str.title]))
    return draw(spaced(case(f"{name}({draw(spaced(f'{sign}{offset}'))})"))), name, offset


@given(dynamic(), MOMENTS, st.sampled_from(ZONES))
def test_a_dynamic_date_is_always_a_valid_local_date_on_its_side_of_today(
    chosen: tuple[str, str, int], at: datetime, zone: ZoneInfo
) -> None:
    text, name, offset = chosen
    try:
        day = date.fromisoformat(dates.resolved(text, at, zone, "date"))
    except UsageError as error:
        assert "calendar" in str(error)  # noqa: PT017 - an offset may lead out of the calendar, nothing else
        return
    today = at.astimezone(zone).date()
    assert dates.resolved(text, at, zone) == f"{day.isoformat()}T00:00:00"
    if name == "TODAY":
        assert day - today == timedelta(days=offset)
    else:
        assert (day.year - today.year) * 12 + day.month - today.month == offset
        next_day = day + timedelta(days=1)
        assert {"FIRST": day.day == 1, "LASTD": next_day.day == 1, "FIFTE": day.day == 15}[name[:5]]


@given(
    st.text() | st.sampled_from(NAMES).flatmap(lambda n: st.text().map(lambda t: f"{t}{n}({t})x")), MOMENTS
)
def test_text_that_is_not_wholly_a_dynamic_date_is_never_changed(text: str, at: datetime) -> None:
    trimmed = text.strip().upper()
    assume(not (trimmed.startswith((*NAMES, "NOW()")) and trimmed.endswith(")")))
    assert dates.resolved(text, at, ZONES[0]) == text


@given(
    st.datetimes(LOCAL("2020-01-01"), LOCAL("2030-01-01")).map(lambda d: d.replace(microsecond=0)),
    st.integers(1, 400),
    st.sampled_from(["1d", "3d", "1w", "2w", "1mo", "5mo"]),
)
def test_tumbling_windows_cover_the_whole_without_gap_or_overlap(
    start: datetime, days: int, step: str
) -> None:
    first, last = start.isoformat(), (start + timedelta(days=days)).isoformat()
    windows = list(sliding(first, last, step, step, "UTC", is_partial_kept=True))
    assert (windows[0].start, windows[-1].end) == (first, last)
    assert [w.start for w in windows[1:]] == [w.end for w in windows[:-1]]
    assert all(str(w.start) < str(w.end) for w in windows)
    whole = list(sliding(first, last, step, step, "UTC"))
    assert whole == windows[: len(whole)]
    assert len(windows) - len(whole) <= 1


@given(st.integers(1, 60), st.integers(1, 20), st.integers(1, 20))
def test_sliding_windows_are_as_many_as_fit(days: int, length: int, step: int) -> None:
    end = (date(2026, 1, 1) + timedelta(days=days)).isoformat()
    windows = list(sliding("2026-01-01", end, f"{length}d", f"{step}d", "UTC"))
    assert len(windows) == (max(0, (days - length) // step + 1) if days >= length else 0)
