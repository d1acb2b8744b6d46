from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import duckdb
import pytest
from hypothesis import given, settings, strategies as st

from amci.amcsql.functions.to_duckdb import to_duckdb
from amci.amcsql.grammar.parsing import parsed
from amci.amcsql.patterns import regexes
from amci.amcsql.patterns.java_regex import InvalidPattern, compiled, java_pattern
from amci.sandbox import udfs

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as con:
        udfs.register(con)
        yield con


def text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def duck(expression: str) -> str:
    return to_duckdb(parsed(f"SELECT {expression} AS x").copy(), NOW, lambda _: "STRING").sql(
        dialect="duckdb"
    )


def value(con: duckdb.DuckDBPyConnection, expression: str) -> object:
    ((found,),) = con.execute(duck(expression)).fetchall()
    return found


#: Pattern, text, and whether java.util.regex.Matcher.find() finds it.
FOUND = [
    ("OTT", "my_OTT_campaign", True),
    ("OTT", "my_ott_campaign", False),
    ("^Kit", "Kitchen", True),
    ("^Kit", "my Kitchen", False),
    ("(?i)chai", "Masala CHAI", True),
    ("_STV$", "brand_STV", True),
    ("_STV$", "brand_STV_2", False),
    ("_STV$", "brand_STV\n", True),
    ("_STV$", "brand_STV\r\n", True),
    ("_STV$", "brand_STV\n\n", False),
    (r"_STV\z", "brand_STV\n", False),
    (r"_STV\Z", "brand_STV\n", True),
    ("a$b", "a$b", False),
    ("(?!)consideration", "consideration", False),
    ("(?=.*STV)(?=.*DSP)", "DSP and STV", True),
    ("(?=.*STV)(?=.*DSP)", "only STV", False),
    ("^(?!.*test).*$", "a campaign", True),
    ("^(?!.*test).*$", "a test", False),
    ("(?<=_)US", "brand_US", True),
    ("(?<!_)US", "brand_US", False),
    (r"(\w)\1", "hello", True),
    (r"(\w)\1", "helo", False),
    (r"(?<twice>\w)\k<twice>", "hello", True),
    ("a.c", "a\nc", False),
    ("a.c", "a\rc", False),
    ("(?s)a.c", "a\nc", True),
    ("a(?i)b", "aB", True),
    ("a(?i)b", "AB", False),
    ("(?i:a)b", "Ab", True),
    ("(?i:a)b", "AB", False),
    ("(?i)a(?-i)b", "AB", False),
    ("(?m)^b$", "a\nb\nc", True),
    ("^b$", "a\nb\nc", False),
    ("(?x) a b # a comment", "ab", True),
    (r"\d+", "a1", True),
    (r"^\d+$", "\u0663", False),
    (r"^\w+$", "é", False),
    (r"^\s$", "\x0b", True),
    (r"^\s$", "\xa0", False),
    (r"^[\s]$", "\x0b", True),
    (r"^\S$", "a", True),
    (r"[\W\d]", "a-", True),
    (r"^[^\d]$", "1", False),
    (r"\p{Alpha}", "é", False),
    (r"\p{L}", "é", True),
    (r"^\p{Lu}\P{Lu}$", "Éé", True),
    (r"\p{Punct}", "a!", True),
    (r"\p{IsAlphabetic}", "é", True),
    (r"^\p{javaLowerCase}$", "é", True),
    ("^[a-c&&[^b]]$", "a", True),
    ("^[a-c&&[^b]]$", "b", False),
    ("^[a[xy]]$", "y", True),
    ("[]a]", "]", True),
    ("[a-]", "-", True),
    (r"[\[\]]", "[", True),
    ("[|~#]", "~", True),
    ("a||b", "", True),
    ("^a{2,3}$", "aaa", True),
    ("^a{2,3}$", "aaaa", False),
    ("^a{1001}$", "a" * 1001, True),
    ("^a++a", "aaa", False),
    ("^(?>a+)a", "aaa", False),
    ("^a+?$", "aaa", True),
    (r"\Qa.b\E+", "a.bbb", True),
    (r"\Qa.b\E", "axb", False),
    (r"\Q(", "(", True),
    (r"\x41\u0042\x{43}\0104", "ABCD", True),
    (r"\t\e\cA", "\t\x1b\x01", True),
    (r"a\.b", "axb", False),
    (r"a\-b\/c", "a-b/c", True),
    (r"\bcat\b", "a cat sat", True),
    (r"\bcat\b", "concat", False),
    (r"^\h\R$", "\u2003\r\n", True),
    ("men''s", "men''s", True),
    ("日本", "日本語", True),
    ("(?i)É", "É", True),
    ("", "", True),
    ("a b", "a b", True),
    ("#1", "#1", True),
]


@pytest.mark.parametrize(("pattern", "of", "is_found"), FOUND)
def test_a_pattern_is_found_where_java_finds_it(
    con: duckdb.DuckDBPyConnection, pattern: str, of: str, is_found: bool
) -> None:
    assert value(con, f"{text(of)} SIMILAR TO {text(pattern)}") is is_found
    assert value(con, f"{text(of)} NOT SIMILAR TO {text(pattern)}") is not is_found


@pytest.mark.parametrize(("pattern", "of", "is_found"), FOUND)
def test_our_own_function_finds_the_same(
    con: duckdb.DuckDBPyConnection, pattern: str, of: str, is_found: bool
) -> None:
    assert con.execute(f"SELECT {regexes.FIND}(?, ?)", [of, pattern]).fetchall() == [(is_found,)]


@pytest.mark.parametrize(
    ("pattern", "is_own"),
    [
        ("OTT", False), ("^Kit", False), ("(?i)chai", False), ("_STV$", False), (r"a.\d+[b-c]{2}|(?:x)", False),
        ("[a-z_]+$", False), (r"[\w\s]", False),
        ("(?!)x", True), (r"(a)\1", True), ("a++", True), (r"\p{Alpha}", True), ("a{1001}", True), ("(?m)^a", True),
        ("[a&&b]", True), (r"a$b", True), (r"[\S]", True),
    ],
)  # fmt: skip
def test_duckdbs_own_engine_is_used_where_it_means_the_same(pattern: str, is_own: bool) -> None:
    assert (regexes.FIND in duck(f"x SIMILAR TO {text(pattern)}").lower()) is is_own


def test_a_pattern_that_is_computed_is_ours(con: duckdb.DuckDBPyConnection) -> None:
    assert value(con, "'abc' SIMILAR TO CONCAT('(?=b)', 'b')") is True


@pytest.mark.parametrize("own", ["", "(?=)"])
@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("REGEXP_REPLACE('abab', '{}(a)(b)', '$2$1')", "baba"),
        ("REGEXP_REPLACE('a.b.c', '{}\\.', '\\$')", "a$b$c"),
        ("REGEXP_REPLACE('abc', '{}b', '[$0]')", "a[b]c"),
        ("REGEXP_REPLACE('abc', '{}(?<x>b)', '${{x}}${{x}}')", "abbc"),
        ("REGEXP_REPLACE('abc', '{}b', '\\\\')", "a\\c"),
        ("REGEXP_REPLACE('abc', '{}z', 'x')", "abc"),
        ("REGEXP_REPLACE('abc', '{}x*', '-')", "-a-b-c-"),
        ("REGEXP_REPLACE('ab', '{}(x)?b', '<$1>')", "a<>"),
        ("REGEXP_REPLACE(NULL, '{}b', 'x')", None),
        ("REGEXP_REPLACE('brand_STV', '{}_STV$', '')", "brand"),
        ("REGEXP_SUBSTR('abc123def', '{}[0-9]+')", "123"),
        ("REGEXP_SUBSTR('abc', '{}[0-9]+')", None),
        ("REGEXP_SUBSTR('aXbX', '{}a(.)')", "aX"),
        ("REGEXP_SUBSTR(NULL, '{}a')", None),
        ("REGEXP_SPLIT('a,b,,c,', '{},')", ["a", "b", "", "c", ""]),
        ("REGEXP_SPLIT('a1b22c', '{}[0-9]+')", ["a", "b", "c"]),
        ("REGEXP_SPLIT('a1b22c', '{}([0-9])+')", ["a", "b", "c"]),
        ("REGEXP_SPLIT('abc', '{}z')", ["abc"]),
        ("REGEXP_SPLIT('abc', '{}')", ["a", "b", "c"]),
        ("REGEXP_SPLIT(NULL, '{},')", None),
    ],
)
def test_both_ways_replace_and_split_alike(
    con: duckdb.DuckDBPyConnection, own: str, expression: str, expected: object
) -> None:
    assert value(con, expression.format(own)) == expected


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(a", "is not closed"), ("a)", "without a ("), ("[a", "is not closed"), ("*a", "'*a'"), ("a**", "'a**'"),
        ("a{", "followed by a number"), ("a{x}", "followed by a number"), ("a{3,1}", "'a{3,1}'"), ("a\\", "ends with"),
        (r"\y", r"Java has no \y"), ("(?P<a>b)", "begins no group"), ("[b-a]", "'[b-a]'"), (r"\p{Nothing}", "Nothing"),
        (r"\1", r"'\1'"), (r"[\b]", r"Java has no \b"),
    ],
)  # fmt: skip
def test_what_is_no_pattern_is_told(pattern: str, why: str) -> None:
    with pytest.raises(InvalidPattern, match="is not a regular expression") as caught:
        java_pattern(pattern)
    assert why in str(caught.value)
    assert regexes.fault(pattern) == str(caught.value)


@pytest.mark.parametrize("replacement", ["$", "$x", "$2", "${name}", "a\\"])
def test_what_replaces_nothing_is_told(replacement: str) -> None:
    assert regexes.replacement_fault("(a)", replacement)
    assert not regexes.replacement_fault("(a)", "$1 and $0")


def test_a_pattern_that_takes_for_ever_is_given_up(
    con: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(udfs, "_PATIENCE_SECONDS", 0.01)
    with pytest.raises(duckdb.Error, match="takes too long"):
        con.execute(f"SELECT {regexes.FIND}(?, ?)", ["a" * 60, r"(a|aa)+\1c"])


@pytest.mark.parametrize(
    ("pattern", "of", "is_found"),
    [(r"\bé", "é", True), (r"caf\b", "café", False), (r"caf\B", "café", True), (r"caf\b", "caf é", True)],
)
def test_a_word_ends_where_its_letters_end(
    con: duckdb.DuckDBPyConnection, pattern: str, of: str, is_found: bool
) -> None:
    assert con.execute(f"SELECT {regexes.FIND}(?, ?)", [of, pattern]).fetchall() == [(is_found,)]
    assert java_pattern(pattern).re2 is None


PARTS = st.sampled_from(
    ["a", "b", "A", "0", "_", " ", ".", "$", "^", "-", r"\d", r"\w", r"\s", r"\.", "[ab]", "[^a]", "[a-c0]", r"[\d_]",
     "(a)", "(?:b)", "(a|b)", "|", "a+", "b*", "a?", "b{1,2}", "a+?", "(?i)", r"\b", "\u00e9"]
)  # fmt: skip
PATTERNS = st.lists(PARTS, min_size=1, max_size=6).map("".join)
TEXTS = st.text(st.sampled_from("abA0_ .-\n\r\u00e9"), max_size=8)


@settings(max_examples=150, deadline=None)
@given(pattern=PATTERNS, of=TEXTS)
def test_both_engines_agree(pattern: str, of: str) -> None:
    java = java_pattern(pattern)
    ours = compiled(java.python).search(of)
    if java.re2 is None:
        return
    with duckdb.connect() as con:
        find = con.execute("SELECT regexp_matches($1, $2)", [of, java.re2]).fetchall()
        first = con.execute("SELECT regexp_extract_all($1, $2)[1]", [of, java.re2]).fetchall()
    assert find == [(ours is not None,)]
    if java.is_exact:
        assert first == [(None if ours is None else ours[0],)]
