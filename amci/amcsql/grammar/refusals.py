"""What AMC's grammar does not have, as far as the words of a query tell: each with its place (amc-api 3.1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlglot import Token, TokenType

from amci.amcsql.findings import Finding, Severity, between
from amci.amcsql.functions.casts import MOMENTS, is_moment


@dataclass(frozen=True, slots=True)
class RefusalRule:
    """One thing that is refused."""

    code: str
    text: str  #: empty if only the word can be named
    hint: str


_RANKED = "rank the rows with ROW_NUMBER() OVER (ORDER BY …) in a sub-query and keep those that you want"
_LIMIT = RefusalRule("limit", "LIMIT is not supported", _RANKED)
_SAID_ONCE = "name the columns of ON or USING"
_PLAIN_GROUPS = "write one GROUP BY query for each level and join them with UNION ALL"
_NOT_A_SELECT = RefusalRule("not-a-select", "Only SELECT queries are supported", "begin with SELECT or WITH")

#: Words that begin something AMC does not have, unless they are names.
_WORDS: dict[TokenType, RefusalRule] = {
    TokenType.LIMIT: _LIMIT,
    TokenType.OFFSET: RefusalRule("limit", "OFFSET is not supported", _RANKED),
    TokenType.FETCH: RefusalRule("limit", "FETCH is not supported", _RANKED),
    TokenType.NATURAL: RefusalRule("natural-join", "NATURAL JOIN is not supported", _SAID_ONCE),
    TokenType.LATERAL: RefusalRule(
        "lateral", "LATERAL is not supported", "join with a sub-query and a condition"
    ),
    TokenType.RECURSIVE: RefusalRule(
        "recursive", "Recursive queries are not supported", "write each step as a WITH query"
    ),
    TokenType.INTERSECT: RefusalRule(
        "set-operation", "INTERSECT is not supported", "use JOIN, or IN with a sub-query"
    ),
    TokenType.EXCEPT: RefusalRule(
        "set-operation", "EXCEPT is not supported", "use LEFT JOIN and keep rows WHERE … IS NULL"
    ),
    TokenType.INTO: RefusalRule("into", "INTO is not supported", "AMC hands the result out as a file"),
    TokenType.QUALIFY: RefusalRule(
        "qualify", "QUALIFY is not supported", "put the window function into a sub-query"
    ),
    TokenType.TABLE_SAMPLE: RefusalRule("sample", "TABLESAMPLE is not supported", "use WHERE RANDOM() < 0.1"),
    TokenType.GROUPING_SETS: RefusalRule("grouping-sets", "GROUPING SETS is not supported", _PLAIN_GROUPS),
}
#: Words that mean something only before a parenthesis.
_CALLED: dict[TokenType, RefusalRule] = {
    TokenType.PIVOT: RefusalRule(
        "pivot", "PIVOT is not supported", "use SUM(IF(condition, x, 0)) for each column"
    ),
    TokenType.UNPIVOT: RefusalRule("pivot", "UNPIVOT is not supported", "use UNION ALL"),
    TokenType.UNNEST: RefusalRule("unnest", "UNNEST is not supported", "use EXPLODE(array) in a SELECT"),
    TokenType.ROLLUP: RefusalRule("grouping-sets", "ROLLUP is not supported", _PLAIN_GROUPS),
    TokenType.CUBE: RefusalRule("grouping-sets", "CUBE is not supported", _PLAIN_GROUPS),
    TokenType.FILTER: RefusalRule("filter", "FILTER is not supported", "use SUM(IF(condition, x, 0))"),
}
_GETDATE = RefusalRule(
    "getdate", "GETDATE() is not supported", "use CAST('today' AS DATE) or CAST('now' AS TIMESTAMP)"
)
_OF_NULLS = RefusalRule(
    "nulls", "IGNORE NULLS and RESPECT NULLS are not supported", "filter the NULLs in a sub-query"
)
#: Two words that follow each other.
_TWO_WORDS: dict[tuple[str, str], RefusalRule] = {
    ("RIGHT", "JOIN"): RefusalRule(
        "right-join", "RIGHT JOIN is not supported", "swap the tables and use LEFT JOIN"
    ),
    ("RIGHT", "OUTER"): RefusalRule(
        "right-join", "RIGHT JOIN is not supported", "swap the tables and use LEFT JOIN"
    ),
    ("ASOF", "JOIN"): RefusalRule(
        "join-kind", "ASOF JOIN is not supported", "join on an inequality, rank and keep the first"
    ),
    ("SEMI", "JOIN"): RefusalRule("join-kind", "SEMI JOIN is not supported", "use IN with a sub-query"),
    ("ANTI", "JOIN"): RefusalRule(
        "join-kind", "ANTI JOIN is not supported", "use LEFT JOIN and keep rows WHERE … IS NULL"
    ),
    ("GETDATE", "("): _GETDATE,
    ("IGNORE", "NULLS"): _OF_NULLS,
    ("RESPECT", "NULLS"): _OF_NULLS,
    ("WITHIN", "GROUP"): RefusalRule(
        "within-group", "WITHIN GROUP is not supported", "use PERCENTILE(x, 0.5) or ARRAY_SORT"
    ),
    ("DISTINCT", "ON"): RefusalRule("distinct-on", "DISTINCT ON is not supported", _RANKED),
    ("GROUP BY", "ALL"): RefusalRule(
        "group-by-all", "GROUP BY ALL is not supported", "name the columns or their numbers"
    ),
}
_EXAMPLES = {"DATE": "2026-01-31", "TIMESTAMP": "2026-01-31 23:59:59"}
#: Tokens of `( 'text' AS type` behind CAST.
_CASTED = 4
_STATEMENTS = {TokenType.SELECT, TokenType.WITH, TokenType.L_PAREN}
_QUERIES = {*_STATEMENTS, TokenType.VALUES}
_BEFORE_INDEX = {TokenType.ARRAY, TokenType.VAR, TokenType.IDENTIFIER, TokenType.R_PAREN, TokenType.R_BRACKET}
_SIGNS = {TokenType.L_BRACE, TokenType.PLACEHOLDER, TokenType.PARAMETER, TokenType.COLON, TokenType.HASH}
_NAMES = {TokenType.DOT, TokenType.ALIAS}


def refused_tokens(sql: str, tokens: Sequence[Token], *, is_strict: bool) -> Iterator[Finding]:
    """All that is refused because of its words."""
    if not tokens or tokens[0].token_type not in _STATEMENTS:
        yield from _no_select(sql, tokens)
        return
    yield from _several(sql, tokens)
    said_until = -1
    for place, token in enumerate(tokens):
        rule, last = _refused(tokens, place)
        if rule and token.start > said_until:
            yield finding(sql, token, last, rule)
            said_until = last.end
    for token, is_final in orders(tokens):
        if not is_final or is_strict:
            yield order_finding(sql, token, "error", is_final=is_final)


def finding(sql: str, first: Token, last: Token, rule: RefusalRule, severity: Severity = "error") -> Finding:
    """A rule at a place."""
    place = between(sql, first.start, last.end)
    text = rule.text or f'Encountered "{first.text}" at line {place.line}, column {place.column}.'
    return Finding(severity=severity, code=rule.code, text=text, place=place, hint=rule.hint)


def orders(tokens: Sequence[Token]) -> Iterator[tuple[Token, bool]]:
    """Each ORDER BY of a query, and whether that is the whole query; those of windows do not count."""
    around: list[bool] = []
    for place, token in enumerate(tokens):
        if token.token_type is TokenType.L_PAREN:
            following = tokens[place + 1].token_type if place + 1 < len(tokens) else None
            around.append(following in _QUERIES)
        elif token.token_type is TokenType.R_PAREN and around:
            around.pop()
        elif token.token_type is TokenType.ORDER_BY and (not around or around[-1]):
            yield token, not around


def order_finding(sql: str, token: Token, severity: Severity, *, is_final: bool) -> Finding:
    """The finding about an ORDER BY that AMC does not have."""
    where = "at the end of a query" if is_final else "in a sub-query"
    hint = (
        "sort the result after the download"
        if is_final
        else "take it out: the rows of a sub-query have no order"
    )
    return finding(
        sql, token, token, RefusalRule("order-by", f"ORDER BY {where} is not supported", hint), severity
    )


def _refused(tokens: Sequence[Token], place: int) -> tuple[RefusalRule | None, Token]:
    """The rule against the token at a place, and the last token that it is about."""
    token = tokens[place]
    before = tokens[place - 1].token_type if place else None
    after = tokens[place + 1] if place + 1 < len(tokens) else None
    kind = token.token_type
    if kind in _SIGNS or (kind is TokenType.L_BRACKET and before not in _BEFORE_INDEX):
        return _placeholder(tokens, place)
    if before in _NAMES or (after and after.token_type is TokenType.DOT):
        return None, token
    if kind in _WORDS:
        return _WORDS[kind], token
    return _with_next(tokens, place, after) if after else (None, token)


def _with_next(tokens: Sequence[Token], place: int, after: Token) -> tuple[RefusalRule | None, Token]:
    """The rule against a token because of the one after it."""
    token = tokens[place]
    kind, word = token.token_type, token.text.upper()
    if kind in _CALLED and after.token_type is TokenType.L_PAREN:
        return _CALLED[kind], token
    if kind is TokenType.SELECT and after.text.upper() == "TOP":
        is_top = place + 2 < len(tokens) and tokens[place + 2].token_type is TokenType.NUMBER
        return (_LIMIT if is_top else None), after
    is_word = kind not in (TokenType.STRING, TokenType.IDENTIFIER)
    if is_word and word in MOMENTS and after.token_type is TokenType.STRING:
        return _no_moment(word, after.text, is_literal=True), after
    if is_word and word == "CAST":
        rest = [each.text.upper() for each in tokens[place + 1 : place + 5]]
        if len(rest) == _CASTED and rest[2] == "AS" and rest[3] in MOMENTS:
            value = tokens[place + 2]
            if value.token_type is TokenType.STRING:
                return _no_moment(rest[3], value.text, is_literal=False), value
    return (_TWO_WORDS.get((word, after.text.upper())) if is_word else None), after


def _no_moment(word: str, said: str, *, is_literal: bool) -> RefusalRule | None:
    """The rule against a constant that no calendar or clock has, or that is not written as AMC's literals are."""
    if is_moment(said, word if is_literal else ""):
        return None
    form = MOMENTS[word]
    hint = f"write {word} '{_EXAMPLES[word]}'; the last second of a day is 23:59:59"
    what = f"{word} literal" if is_literal else word
    return RefusalRule("moment", f"Illegal {what} '{said[:40]}': not in format '{form}'", hint)


def _placeholder(tokens: Sequence[Token], place: int) -> tuple[RefusalRule, Token]:
    """Something to be filled in, such as [LIST], {{campaign}} or :campaign."""
    first = tokens[place]
    if [token.token_type for token in tokens[place : place + 2]] == [TokenType.COLON, TokenType.COLON]:
        return RefusalRule("cast-sign", "", "write CAST(x AS type)"), tokens[place + 1]
    closing = {TokenType.L_BRACKET: TokenType.R_BRACKET, TokenType.L_BRACE: TokenType.R_BRACE}.get(
        first.token_type
    )
    rest = tokens[place + 1 : place + 12]
    last = next((token for token in rest if token.token_type is closing), rest[0] if rest else first)
    name = "".join(token.text for token in rest[:1] if token.token_type is TokenType.VAR).lower() or "name"
    hint = f"put your own values there, or a parameter: CUSTOM_PARAMETER('{name}')"
    return RefusalRule("placeholder", "", hint), last


def _no_select(sql: str, tokens: Sequence[Token]) -> Iterator[Finding]:
    if tokens:
        yield finding(sql, tokens[0], tokens[0], _NOT_A_SELECT)
        return
    place = between(sql, 0, max(0, len(sql) - 1))
    text = f'Encountered "<EOF>" at line {place.end_line}, column {place.end_column}.'
    yield Finding(
        severity="error", code="syntax", text=text, place=place, hint="write a query that begins with SELECT"
    )


def _several(sql: str, tokens: Sequence[Token]) -> Iterator[Finding]:
    for place, token in enumerate(tokens):
        if token.token_type is TokenType.SEMICOLON:
            rest = [each for each in tokens[place:] if each.token_type is not TokenType.SEMICOLON]
            if rest:
                rule = RefusalRule(
                    "several-statements", "Only one query is supported", "make a workflow of each query"
                )
                yield finding(sql, rest[0], rest[-1], rule)
            return
