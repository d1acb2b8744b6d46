"""What is known of a query once it is compiled: its columns, tables, parameters, notices, statements."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from amci.amcsql.findings import CompileError
from amci.amcsql.privacy.thresholds import Privacy

from .asking import NOW, WINDOW, Tables, compile_, crowd, look

T = Tables()
T.put("views", crowd(3, each={"site": "s", "postal": "p", "n": 2}))
SQL = "SELECT site, SUM(n) AS n FROM views GROUP BY 1"


@pytest.mark.parametrize(
    ("sql", "names", "kinds"),
    [
        (SQL, ["site", "n"], "DM"),
        ("SELECT site, SUM(n), MAX(n) FROM views GROUP BY 1", ["site", "EXPR$1", "EXPR$2"], "DMD"),
        ("SELECT Site, COUNT(*) AS Total FROM views GROUP BY 1", ["Site", "Total"], "DM"),
        ("SELECT COUNT(DISTINCT user_id) AS users FROM views", ["users"], "D"),
        ("SELECT COUNT(user_id) AS users FROM views", ["users"], "M"),
        ("SELECT SUM(n) / COUNT(*) AS rate, AVG(n) AS mean FROM views", ["rate", "mean"], "MD"),
        ("WITH f AS (SELECT SUM(n) AS n FROM views) SELECT n, n * 2 AS twice FROM f", ["n", "twice"], "MM"),
        (f"{SQL} UNION ALL {SQL}", ["site", "n"], "DM"),
        (f"{SQL} UNION ALL SELECT site, MAX(n) FROM clicks GROUP BY 1", ["site", "n"], "DD"),
        ("SELECT x.* FROM (SELECT site, COUNT(*) AS c FROM views GROUP BY 1) x", ["site", "c"], "DM"),
    ],
)
def test_the_columns_have_names_and_are_metrics_or_dimensions(sql: str, names: list[str], kinds: str) -> None:
    query = compile_(sql)
    assert [output.name for output in query.outputs] == names
    assert "".join(kind[0] for kind in query.kinds) == kinds
    assert T.run(sql).names == names


@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        ("SELECT 1 AS x", []),
        (SQL, ["views"]),
        (
            "SELECT COUNT(*) AS n FROM Views a JOIN clicks b USING (user_id) JOIN views c USING (user_id)",
            ["views", "clicks"],
        ),
        (
            "SELECT COUNT(*) AS n FROM views WHERE user_id IN (SELECT user_id FROM clicks)",
            ["views", "clicks"],
        ),
        ("SELECT COUNT(*) AS n FROM TABLE(EXTEND_TIME_WINDOW('sales', 'P1D', 'P1D'))", ["sales"]),
        ("WITH f AS (SELECT site FROM clicks) SELECT SUM(n) AS n FROM views", ["clicks", "views"]),
    ],
)
def test_the_tables_are_those_that_the_query_names(sql: str, tables: list[str]) -> None:
    assert compile_(sql).sources == tables


def test_without_privacy_there_is_one_statement() -> None:
    query = compile_(SQL)
    assert (query.guarded, query.privacy) == (None, None)
    assert T.ask(SQL) == [("s", 6)]


def test_with_privacy_the_plain_statement_is_the_same() -> None:
    query = compile_(SQL, privacy=Privacy())
    assert query.guarded is not None
    assert query.plain == compile_(SQL).plain


@pytest.mark.parametrize(
    ("sql", "allowed"),
    [
        (SQL, {"all", "comparisons", "none"}),
        ("SELECT user_id FROM views", {"comparisons", "none"}),
        ("SELECT site, n FROM views", {"comparisons", "none"}),
        ("SELECT COUNT(*) AS n FROM views WHERE postal = 'p'", {"none"}),
        ("SELECT user_id FROM views WHERE user_id = 'u1'", {"none"}),
        ("SELECT * FROM views", set()),
        ("SELECT nothing FROM views", set()),
    ],
)
def test_controls_say_what_of_privacy_is_checked(sql: str, allowed: set[str]) -> None:
    found = {
        controls for controls in ("all", "comparisons", "none") if not look(sql, controls=controls).errors
    }
    assert found == allowed


def test_without_controls_single_users_are_shown() -> None:
    sql = "SELECT user_id, n FROM views WHERE user_id = 'u1'"
    query = compile_(sql, privacy=Privacy(), controls="none")
    assert query.guarded is None
    assert T.ask(sql, privacy=Privacy(), controls="none") == [("u1", 2)]


def test_all_mistakes_are_told_at_once_and_in_order() -> None:
    sql = "SELECT sitte, SUM(nn) AS n\nFROM views\nWHERE postal = 'p1' AND UPER(site) = 'A'\nGROUP BY 1, 7"
    with pytest.raises(CompileError) as caught:
        compile_(sql, privacy=Privacy())
    found = caught.value.findings
    assert [(each.code, each.place.line) for each in found] == [
        ("unknown-column", 1),
        ("unknown-column", 1),
        ("privacy-comparison", 3),
        ("unknown-function", 3),
        ("ordinal", 4),
    ]
    assert str(caught.value) == found[0].as_amc()
    assert caught.value.hint == "did you mean site?"


@pytest.mark.parametrize(
    ("sql", "mode", "expected"),
    [
        (SQL, "strict", []),
        (f"{SQL} ORDER BY 1", "lenient", [("warning", "order-by")]),
        (f"{SQL};", "lenient", [("note", "semicolon")]),
        (
            "SELECT site || 'x' AS s, SUM(n) AS n FROM views GROUP BY 1",
            "strict",
            [("warning", "concatenation")],
        ),
        ("SELECT COLLECT(n + 1) AS s FROM views", "lenient", [("warning", "reported")]),
        ("SELECT CAST(SUM(n) AS STRING) AS s FROM views", "strict", [("warning", "undocumented")]),
        (
            "SELECT COUNT(*) AS n FROM views WHERE site SIMILAR TO '(?!)s'",
            "strict",
            [("warning", "never-matches")],
        ),
    ],
)
def test_what_amc_takes_and_a_person_should_know_is_a_notice(
    sql: str, mode: Any, expected: list[tuple[str, str]]
) -> None:
    query = compile_(sql, privacy=Privacy(), mode=mode)
    assert [(each.severity, each.code) for each in query.notices] == expected
    assert all(each.hint for each in query.notices)


def test_the_final_order_is_refused_in_strict_mode_and_kept_in_lenient() -> None:
    sql = "SELECT site, SUM(n) AS n FROM views GROUP BY 1 ORDER BY 1"
    assert [each.code for each in look(sql, mode="strict").errors] == ["order-by"]
    assert look(sql, mode="lenient").errors == []
    assert T.ask(sql) == [("s", 6)]


def test_what_cannot_be_parsed_has_no_meaning() -> None:
    found = look("SELECT FROM views")
    assert found.bound is None
    assert [each.code for each in found.errors] == ["syntax"]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT CURRENT_DATE AS x", True),
        ("SELECT CURRENT_TIMESTAMP AS x", True),
        ("SELECT CAST('today' AS DATE) AS x", True),
        ("SELECT CAST('NOW' AS TIMESTAMP) AS x", True),
        ("SELECT 'tomorrow' AS x", False),
        (SQL, False),
    ],
)
def test_it_is_known_whether_a_query_asks_the_time(sql: str, expected: bool) -> None:
    assert look(sql).asks_the_time is expected
    assert (compile_(sql).plain != compile_(sql, now=NOW + timedelta(days=1)).plain) is expected


def test_now_is_when_it_is_asked() -> None:
    assert T.ask("SELECT CURRENT_TIMESTAMP AS x") == [(datetime.fromisoformat("2026-02-03T04:05:06"),)]


def test_an_instance_sees_its_people_and_all_of_what_it_uploaded() -> None:
    tables = Tables()
    tables.put("views", crowd(300, each={"n": 1}))
    tables.put("crm", crowd(300))
    for name in ("amc1", "amc2"):
        assert 150 < tables.ask("SELECT SUM(n) AS n FROM views", instance_id=name)[0][0] < 250
        assert tables.ask("SELECT COUNT(*) AS n FROM crm", instance_id=name) == [(300,)]
    one, other = (set(tables.ask("SELECT user_id FROM views", instance_id=name)) for name in ("amc1", "amc2"))
    assert one != other


def test_a_query_of_with_that_is_not_used_is_checked_and_not_run() -> None:
    sql = "WITH f AS (SELECT CAST('x' AS BIGINT) AS y FROM views) SELECT SUM(n) AS n FROM views"
    assert T.ask(sql) == [(6,)]
    broken = sql.replace("CAST('x' AS BIGINT)", "nothing")
    assert [each.code for each in look(broken).errors] == ["unknown-column"]


def test_names_with_signs_in_them_stay_names() -> None:
    sql = 'SELECT site AS "a ""b"" \'c\'", COUNT(*) AS "SELECT" FROM views GROUP BY "a ""b"" \'c\'"'
    assert T.run(sql).names == ["a \"b\" 'c'", "SELECT"]
    assert T.seen(sql) == [("s", 3)]


def test_a_query_that_was_compiled_is_as_it_was() -> None:
    sql = "SELECT v.site, COUNT(*) AS n FROM views v JOIN clicks c USING (user_id) GROUP BY v.site"
    query = look(sql)
    first, other = (query.compile(WINDOW, NOW, privacy=Privacy()) for _ in range(2))
    assert first == other == compile_(sql, privacy=Privacy())


DOUBLED = {
    "with": lambda n: (
        "WITH c0 AS (SELECT user_id, n FROM views), "
        + ", ".join(f"c{i} AS (SELECT * FROM c{i - 1} UNION ALL SELECT * FROM c{i - 1})" for i in range(1, n))
        + f" SELECT SUM(n) AS i FROM c{n - 1}"
    ),
    "join": lambda n: (
        "WITH c0 AS (SELECT user_id, n FROM views), "
        + ", ".join(
            f"c{i} AS (SELECT a.user_id, b.n FROM c{i - 1} a JOIN c{i - 1} b ON a.user_id = b.user_id)"
            for i in range(1, n)
        )
        + f" SELECT SUM(n) AS i FROM c{n - 1}"
    ),
}


@pytest.mark.parametrize("kind", DOUBLED)
@pytest.mark.parametrize("levels", [11, 12])
def test_a_query_that_reads_its_tables_too_often_is_refused_before_it_is_read_on(
    kind: str, levels: int
) -> None:
    found = look(DOUBLED[kind](levels))
    assert {"too-many-reads"} <= {finding.code for finding in found.errors}


@pytest.mark.parametrize("kind", ["with", "join"])
def test_however_few_lines_stand_for_however_many_reads(kind: str) -> None:
    assert [finding.code for finding in look(DOUBLED[kind](60)).errors] == ["too-many-reads"]
    assert look(DOUBLED[kind](7)).errors == []


@pytest.mark.parametrize(
    "source", ["views a", "views a JOIN clicks b ON a.user_id = b.user_id"], ids=["one path", "two paths"]
)
def test_the_statement_grows_with_its_metrics_and_not_with_their_square(source: str) -> None:
    def length(metrics: int) -> int:
        names = ("a", "b" if "clicks" in source else "a")
        summed = ", ".join(f"SUM({names[i % 2]}.n + {i}) AS m{i}" for i in range(metrics))
        guarded = compile_(f"SELECT a.site, {summed} FROM {source} GROUP BY 1", privacy=Privacy()).guarded
        assert guarded is not None
        return len(guarded.make)

    assert length(80) < 2.2 * length(40)
