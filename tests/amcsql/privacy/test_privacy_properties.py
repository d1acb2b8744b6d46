"""AMC's privacy rules over any query and any data, against an oracle that knows every user's part (amc-api 3.3).

PRIVACY_EXAMPLES=5000 asks for so many examples of each property, new ones each time.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings, strategies as st

from .amcside import COUNT, DISCRIMINATOR, REASON, Line, loaded, removing_rows, removing_values, result
from .data import Block, blocks, row, rows_of
from .oracle import evaluate
from .queries import Query
from .relations import Result
from .removing import NEEDED, Checks, Shown, Values, cap, filtered, is_reason, needed, plain, total
from .shapes import queries

Blocks = tuple[Block, ...]
ASKED = os.environ.get("PRIVACY_EXAMPLES")
checks = st.builds(Checks, st.sampled_from([True, True, False]), st.sampled_from([True, True, False]))


def examples(usual: int) -> Callable[[Any], Any]:
    return settings(
        max_examples=int(ASKED or usual),
        # Finding the smallest example takes minutes; whoever hunts asks for it.
        phases=[Phase.generate, Phase.shrink] if ASKED else [Phase.generate],
        derandomize=not ASKED,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def plain_values(shown: Shown) -> Values:
    return tuple(map(plain, shown.values))


def said(rows: Iterable[Values]) -> Counter[Values]:
    """The rows without those that say nothing."""
    return Counter(row for row in rows if any(value is not None for value in row))


def both(query: Query, several: Blocks) -> tuple[str, Result]:
    rows = rows_of(several)
    loaded(rows)
    return query.sql(), evaluate(query, rows)


def assert_extra_columns(line: Line, candidates: list[Shown], whole: Result) -> None:
    """The user count and the reason of a row are those of a row with its values."""
    assert candidates, line
    judged = [row for shown in candidates for row in shown.of]
    # Merged rows have no count of their own, and no count says more than one where no column needs two.
    if len(judged) == len(candidates) and cap(whole) > 1 and all(row.row.users for row in judged):
        assert line.extra[COUNT] in {min(row.actual, cap(whole)) for row in judged}
    reason = line.extra[REASON]
    if candidates[0].is_touched:
        assert any(is_reason(reason, shown, whole) for shown in candidates), (reason, judged)
    else:
        assert reason is None


@examples(20)
@given(queries, blocks)
def test_without_privacy_a_query_yields_all_of_its_rows(query: Query, several: Blocks) -> None:
    sql, whole = both(query, several)
    expected = Counter(tuple(plain(cell.value) for cell in row.cells) for row in whole.rows)
    assert Counter(line.values for line in result(sql, None)) == expected


@examples(30)
@given(queries, blocks, checks)
def test_no_row_is_shown_that_has_too_few_users(query: Query, several: Blocks, made: Checks) -> None:
    sql, whole = both(query, several)
    allowed = said(map(plain_values, filtered(whole, "REMOVE_ROWS", made)))
    leaked = said(line.values for line in result(sql, removing_rows(made))) - allowed
    assert not leaked


@examples(30)
@given(queries, blocks, checks)
def test_every_row_that_has_enough_users_is_shown(query: Query, several: Blocks, made: Checks) -> None:
    sql, whole = both(query, several)
    expected = filtered(whole, "REMOVE_ROWS", made)
    lines = result(sql, removing_rows(made))
    assert not said(map(plain_values, expected)) - said(line.values for line in lines)
    for line in (line for line in lines if said([line.values])):
        same = [shown for shown in expected if plain_values(shown) == line.values]
        assert_extra_columns(line, same, whole)


@examples(30)
@given(queries, blocks, checks)
def test_rows_with_too_few_users_lose_values_and_are_added_up(
    query: Query, several: Blocks, made: Checks
) -> None:
    sql, whole = both(query, several)
    expected = filtered(whole, "REMOVE_VALUES", made)
    lines = [line for line in result(sql, removing_values(made)) if said([line.values])]
    for is_touched in (True, False):
        left = said(plain_values(shown) for shown in expected if shown.is_touched is is_touched)
        assert said(line.values for line in lines if line.extra[DISCRIMINATOR] is is_touched) == left
    for line in lines:
        same = [
            shown
            for shown in expected
            if plain_values(shown) == line.values and shown.is_touched is line.extra[DISCRIMINATOR]
        ]
        assert_extra_columns(line, same, whole)


@examples(20)
@given(queries, blocks)
def test_metrics_that_are_never_emptied_keep_their_totals(query: Query, several: Blocks) -> None:
    sql, whole = both(query, several)
    before, after = result(sql, None), result(sql, removing_values(Checks()))
    has_users = all(row.known(None) or not row.users for row in whole.rows)
    kept = [
        place
        for place, about in enumerate(whole.about)
        if about.is_metric and has_users and needed(about) == NEEDED["NONE"] and not _is_emptied(whole, place)
    ]
    for place in kept:
        assert _total(after, place) == _total(before, place)


def _is_emptied(whole: Result, place: int) -> bool:
    """Whether a row has no user at all for this column's sake, and so not even columns of level NONE."""
    rows = [row for shown in filtered(whole, "REMOVE_VALUES", Checks()) for row in shown.of]
    return any(row.actual < 1 and row.values[place] is not None for row in rows)


def _total(lines: list[Line], place: int) -> Any:
    found = total([line.values[place] for line in lines])
    return None if found is None else round(found, 4)


def test_what_a_user_adds_by_two_paths_is_one_users_part() -> None:
    views = [row("views", user, device="tv", site="s1") for user in (1, 2, 3)]
    views += [row("views", user, device="tv", site="s2") for user in (1, 4, 5)]
    loaded({"views": views, "clicks": [row("clicks", user, site="s1") for user in (1, 9)]})
    sql = (
        "WITH t AS (SELECT site, COUNT(*) AS n FROM clicks GROUP BY site)"
        " SELECT v.device AS device, MAX(v.site) AS site, COUNT(*) AS n"
        " FROM views v LEFT JOIN t ON v.site = t.site GROUP BY v.device"
    )
    # User 1 is behind the three rows of s1 by his click, and behind one of s2 by his view: 6 / 4 is less than two.
    (found,) = result(sql, removing_values(Checks()))
    assert found.values == ("tv", None, 6)
    assert (found.extra[DISCRIMINATOR], found.extra[COUNT]) == (True, 1)
