"""The redaction report, from what the engine tells of a result."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime

import pytest

from amci.amcsql.privacy.thresholds import Privacy, RedactedRow, Rule, TableRead
from amci.amcsql.query import Query
from amci.amcsql.sources import sources
from amci.amcsql.tools.linting import LintColumn, lint
from amci.amcsql.tools.redaction import RedactionReport, report
from amci.sandbox.engine import QueryEngine
from amci.sandbox.options import SandboxOptions


def column(name: str, users: int) -> LintColumn:
    threshold = {1: "NONE", 2: "LOW", 100: "HIGH"}[users]
    return LintColumn(
        name=name, type="STRING", kind="DIMENSION", threshold=threshold, users=users, is_key=True, because=[]
    )


COLUMNS = [column("campaign", 2), column("place", 100), column("n", 1)]


def row(values: str, rule: Rule, read: TableRead, count: int, required: int) -> RedactedRow:
    """A row with the values of COLUMNS, `-` for NULL."""
    given = [None if value == "-" else value for value in values.split()]
    return RedactedRow(
        values=dict(zip(("campaign", "place", "n"), [*given[:2], 5], strict=True)),
        rule=rule,
        read=read,
        count=count,
        limit=min(required, 2) if rule == "equivalent" else required,
        required=required,
        columns=["place"] if required == 100 else ["campaign"],
    )


VIEWS, CLICKS = TableRead("dsp_impressions", 1, 1), TableRead("dsp_clicks", 1, 1)
FIRST = TableRead("dsp_clicks", 1, 2)
ROWS = [
    row("a X", "distinct", VIEWS, 97, 100),
    row("a Y", "distinct", VIEWS, 3, 100),
    row("b -", "distinct", VIEWS, 1, 2),
    row("c Z", "effective", FIRST, 60, 100),
    row("d Z", "equivalent", CLICKS, 1, 100),
]


def made(rows: list[RedactedRow], *, untouched: int = 5, is_emptied: bool = False) -> RedactionReport:
    return report(rows, untouched=untouched, is_emptied=is_emptied, columns=COLUMNS)


@pytest.mark.parametrize(
    ("redacted", "reason"),
    [
        (ROWS[0], "97 'dsp_impressions' users < 100 required"),
        (ROWS[3], "60 'dsp_clicks' (path 1 of 2) effective users < 100 required"),
        (ROWS[4], "1 'dsp_clicks' equivalent users < 2 required"),
    ],
)
def test_a_row_says_its_reason_in_amcs_words(redacted: RedactedRow, reason: str) -> None:
    assert redacted.reason == reason


def test_rows_are_counted_and_grouped_by_what_took_them() -> None:
    found = made(ROWS)
    assert (found.rows, found.hidden) == (10, 5)
    assert [(c.rule, c.table, c.path, c.needs, c.rows, c.nearest) for c in found.causes] == [
        ("distinct", "dsp_impressions", "", 100, 2, 97),
        ("equivalent", "dsp_clicks", "", 2, 1, 1),
        ("effective", "dsp_clicks", "1 of 2", 100, 1, 60),
        ("distinct", "dsp_impressions", "", 2, 1, 1),
    ]


def test_rows_stand_in_the_order_of_how_near_they_are() -> None:
    found = made(ROWS).hidden_rows
    assert [row.short for row in found] == [1, 1, 3, 40, 97]
    assert found[2].values == {"campaign": "a", "place": "X", "n": 5}
    assert (found[2].count, found[2].limit) == (97, 100)


def test_the_summary_says_it_in_words() -> None:
    lines = list(made(ROWS).lines())
    assert lines[:3] == [
        "5 of 10 rows were removed (50 %):",
        "  2 had fewer than 100 users of 'dsp_impressions'; the closest had 97",
        "  1 had one user of 'dsp_clicks' who makes up more than half of a metric",
    ]
    assert lines[3].startswith("  1 had fewer than 100 users of 'dsp_clicks' (read 1 of 2) who contribute")
    assert lines[5:] == [
        "what helps:",
        "  - leave out place: then 2 users are enough, which 3 of the hidden rows have even now",
        "  - a longer time window: 2 of the hidden rows have half the users they need, or more",
        "  - wider groups or a longer window: 1 of the hidden rows has one user who outweighs all others",
        "  - wider groups: 1 of the hidden rows has one known user or none, and such rows are never shown",
    ]


def test_emptied_rows_are_called_so() -> None:
    assert next(iter(made(ROWS[:1], untouched=1, is_emptied=True).lines())) == (
        "1 of 2 rows was emptied (50 %):"
    )


def test_nothing_hidden_is_said_in_one_line() -> None:
    assert list(made([]).lines()) == ["none of the 5 rows was removed"]


def test_where_two_users_are_enough_no_column_is_blamed() -> None:
    pair = [column("campaign", 2)]
    found = report([ROWS[2]], untouched=0, is_emptied=False, columns=pair)
    assert [each.partition(":")[0] for each in found.helps] == ["wider groups"]


LAST = date(2026, 6, 30)
WINDOW = (datetime(2026, 6, 20, tzinfo=UTC), datetime(2026, 6, 30, tzinfo=UTC))
SQL = """
SELECT {}, SUM(impressions) AS impressions, COUNT(DISTINCT user_id) AS users
FROM dsp_impressions WHERE user_id IS NOT NULL GROUP BY 1
"""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QueryEngine]:
    options = SandboxOptions(scale=0.002, days=20, anchor=LAST)
    engine = QueryEngine(tmp_path_factory.mktemp("redaction"), options)
    yield engine
    engine.close()


@pytest.mark.parametrize("key", ["postal_code", "campaign", "dma_code"])
@pytest.mark.parametrize("behavior", ["REMOVE_ROWS", "REMOVE_VALUES"])
def test_every_row_of_the_engine_is_shown_or_told_with_its_true_number(
    engine: QueryEngine, key: str, behavior: str
) -> None:
    sql = SQL.format(key)
    privacy = Privacy(discriminator="is_emptied" if behavior == "REMOVE_VALUES" else "")
    query = Query.of(sql, sources())
    ways = [query.compile(WINDOW, WINDOW[1], privacy=each) for each in (None, privacy)]
    whole, shown = (engine.run(way, LAST, explains=True) for way in ways)
    assert shown.redacted is not None
    untouched = [row for row in shown.rows if row[-1] is not True] if privacy.discriminator else shown.rows
    columns = lint(query).columns
    found = report(
        shown.redacted,
        untouched=len(untouched),
        is_emptied=bool(privacy.discriminator),
        columns=columns,
    )
    assert found.rows == len(whole.rows)
    users = {row[0]: row[-1] for row in whole.rows}
    for hidden in found.hidden_rows:
        assert hidden.count <= users[hidden.values[key]]
        assert hidden.short == hidden.limit - hidden.count > 0
    assert sum(cause.rows for cause in found.causes) == found.hidden
    if key == "postal_code":
        assert found.hidden == found.rows > 0
