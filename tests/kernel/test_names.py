from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from amci.kernel.names import column_names, comparable, earlier_names, literal, quoted, sanitized, table_name


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Total Sales", "total_sales"), ("Café—x", "cafe_x"), ("a--b", "a_b"), ("日", "_"), ("", "_")],
)
def test_a_name_is_sanitised_as_awswrangler_does(name: str, expected: str) -> None:
    assert sanitized(name) == expected


def test_columns_are_unique_and_leave_reserved_names_alone() -> None:
    assert column_names(["Total Sales", "total_sales", "日", "_row", "x", "x", ""], {"_row"}) == [
        "total_sales_c611c6",
        "total_sales",
        "column_85217f",
        "_row_2",
        "x",
        "x_2",
        "unnamed",
    ]


def test_names_that_the_configuration_uses_are_as_in_earlier_releases() -> None:
    header = ["Total Sales", "total_sales", "日", "Spend (€)"]
    assert earlier_names(header) == ["total_sales", "total_sales_2", "column_3", "spend_"]
    assert column_names(header, kept={"column_3", "spend_"})[2:] == ["column_3", "spend_"]
    for spellings in (["userid", "userId"], ["userId", "userid"]):
        assert column_names(spellings, kept={"userid"}) == column_names(spellings)


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("Spend ($)", "spend_dollar"),
        ("Spend (€)", "spend_euro"),
        ("Spend (￥)", "spend_yen"),
        ("CTR (%)", "ctr_percent"),
        ("# of Clicks", "number_of_clicks"),
        ("Age <5", "age_less_than_5"),
        ("Straße", "strasse"),
        ("ＡＳＩＮ", "asin"),
        ("キャンペーン ID", "id_452bd9"),
        ("Total (net)", "total_net_"),
    ],
)
def test_a_name_keeps_what_a_header_means(header: str, name: str) -> None:
    assert column_names([header]) == [name]


@pytest.mark.parametrize(
    "spellings",
    [("価格", " 価格 ", "「価格」"), ("Цена", "ЦЕНА"), ("ﾒｰﾙ", "メール"), ("Été (€)", "E\u0301te\u0301 €")],
)
def test_spellings_of_any_script_have_one_name(spellings: tuple[str, ...]) -> None:
    assert len({column_names([spelling])[0] for spelling in spellings}) == 1


def test_tables_of_other_alphabets_do_not_meet() -> None:
    assert table_name("acme", "日本") != table_name("acme", "中国")
    assert table_name("acme", "reach") == "acme_reach"
    assert table_name("acme", "", "réach") == "acme_reach"


@given(st.text("ab", min_size=190, max_size=400), st.text("ab", min_size=190, max_size=400))
def test_long_tables_are_cut_and_do_not_meet(a: str, b: str) -> None:
    assert len(table_name(a)) <= 207
    assert (table_name(a) == table_name(b)) == (a == b)


@given(st.lists(st.text(), max_size=8))
def test_columns_are_always_unique_and_plain(header: list[str]) -> None:
    names = column_names(header)
    assert len(set(names)) == len(names) == len(header)
    assert all(name == sanitized(name) for name in names)


def test_quotes_cannot_be_left() -> None:
    assert quoted("a", 'b"; DROP TABLE c; --') == '"a"."b""; DROP TABLE c; --"'
    assert literal("it's") == "'it''s'"


@pytest.mark.parametrize(
    ("name", "same"),
    [
        *(
            (name, "useremail")
            for name in ("User E-Mail", "user.email", "userEmail", " USER_EMAIL ", "user\u00a0e\u2011mail")
        ),
        *(
            (name, "useremail")
            for name in ("ｕｓｅｒ＿ｅｍａｉｌ", "\ufeffuser\u200bemail", "Ûser Émail", "USER EMAİL")
        ),
        ("ﬁrst name", "firstname"),
        ("Straße 2", "strasse2"),
        ("メール", "メール"),
        ("ﾒｰﾙ", "メール"),
        ("- _", ""),
    ],
)
def test_spellings_of_one_name_are_comparable(name: str, same: str) -> None:
    assert comparable(name) == same
