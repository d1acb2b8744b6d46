"""AMC SQL as a dialect of sqlglot: its words, its grammar, and how it is written (amc-api 3.1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

from sqlglot import Token, TokenType, exp, tokens
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import ParseError
from sqlglot.generator import Generator
from sqlglot.parser import SENTINEL_NONE, Parser

from amci.amcsql.functions.table import FUNCTIONS

_KEPT = (
    "||", ">=", "<=", "<>", "!=", "ALL", "AND", "ASC", "AS", "BETWEEN", "CASE", "CROSS", "CUBE",
    "CURRENT_DATE", "CURRENT_TIMESTAMP", "DESC", "DISTINCT", "ELSE", "END", "ESCAPE", "EXCEPT", "EXISTS",
    "FALSE", "FETCH", "FILTER", "FOR", "FROM", "FULL", "HAVING", "IN", "INNER", "INTERSECT", "INTERVAL",
    "INTO", "IS", "JOIN", "LATERAL", "LEFT", "LIKE", "LIMIT", "NATURAL", "NOT", "NULL", "OFFSET", "ON",
    "OR", "OUTER", "OVER", "PIVOT", "QUALIFY", "RANGE", "RECURSIVE", "RIGHT", "ROLLUP", "ROWS", "SELECT",
    "TABLE", "TABLESAMPLE", "THEN", "TRUE", "UNION", "UNNEST", "UNPIVOT", "USING", "VALUES", "WHEN",
    "WHERE", "WINDOW", "WITH", "ARRAY", "BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "INT", "BIGINT",
    "DECIMAL", "DEC", "NUMERIC", "DOUBLE", "DATE", "TIMESTAMP", "CHAR", "CHARACTER", "VARCHAR", "BINARY",
    "VARBINARY", "STRUCT", "STRING", "TEXT", "LONG", "TIME", "JSON",
)  # fmt: skip
_KEPT_PAIRS = ("GROUP BY", "ORDER BY", "PARTITION BY", "GROUPING SETS", "SIMILAR TO", "DOUBLE PRECISION")

#: What the grammar makes of calls whose arguments are more than a list.
_SPECIAL = ("CAST", "EXTRACT", "POSITION", "SUBSTRING", "TRIM")
#: Calls that sqlglot has a class of its own for, which is how others know them.
_TYPED: dict[str, type[exp.Func]] = {
    "AVG": exp.Avg,
    "COALESCE": exp.Coalesce,
    "COUNT": exp.Count,
    "IF": exp.If,
    "MAX": exp.Max,
    "MIN": exp.Min,
    "NULLIF": exp.Nullif,
    "SUM": exp.Sum,
}


class Encountered(ParseError):
    """A token that the grammar does not expect."""

    def __init__(self, message: str, token: Token | None) -> None:
        super().__init__(message)
        self.token = token  #: None at the end of the text


def _call(name: str, arguments: list[exp.Expr]) -> exp.Expr:
    """A call; one with too few or too many arguments stays as it is written, for a better error."""
    function, typed = FUNCTIONS[name], _TYPED.get(name)
    if typed is None or not function.takes(len(arguments)):
        return exp.Anonymous(this=name, expressions=arguments)
    return typed.from_arg_list(arguments)


def _spanning(parse: Callable[[Any], exp.Expr]) -> Callable[[Any], exp.Expr]:
    """A parser of the arguments of a call, whose result has the place of the call."""

    def parsed(self: AmcParser) -> exp.Expr:
        name = self._tokens[self._index - 2]
        return self.spanned(parse(self), name)

    return parsed


class AmcTokenizer(tokens.Tokenizer):
    """A quote is doubled, a backslash is an ordinary character, comments do not nest."""

    KEYWORDS: ClassVar[dict[str, TokenType]] = {
        **{word: tokens.Tokenizer.KEYWORDS[word] for word in (*_KEPT, *_KEPT_PAIRS)},
        # Calcite's FLOAT has eight bytes, its REAL four
        "FLOAT": TokenType.DOUBLE,
        "REAL": TokenType.FLOAT,
    }
    NESTED_COMMENTS = False
    COMMANDS: ClassVar[set[TokenType]] = set()


class AmcParser(Parser):
    """One SELECT; what AMC's grammar does not have is an error where it stands."""

    FUNCTIONS: ClassVar[dict[str, Callable[..., exp.Expr]]] = {
        name: partial(_call, name) for name in FUNCTIONS if name not in _SPECIAL
    }
    FUNCTION_PARSERS: ClassVar[dict[str, Callable[..., Any]]] = {
        "CAST": _spanning(lambda self: self._parse_cast(self.STRICT_CAST)),
        "EXTRACT": _spanning(lambda self: self._parse_extract()),
        "POSITION": _spanning(lambda self: self._parse_position()),
        "SUBSTRING": _spanning(lambda self: self._parse_substring()),
        "TRIM": _spanning(lambda self: self._parse_trim()),
    }
    NO_PAREN_FUNCTION_PARSERS: ClassVar = {
        "CASE": lambda self: self._parse_case(),
        "CURRENT_DATE": lambda self: self.expression(exp.CurrentDate(), self._prev),
        "CURRENT_TIMESTAMP": lambda self: self.expression(exp.CurrentTimestamp(), self._prev),
    }
    NO_PAREN_FUNCTIONS: ClassVar[dict[TokenType, type[exp.Expr]]] = {}
    PRIMARY_PARSERS: ClassVar = {
        **Parser.PRIMARY_PARSERS,
        TokenType.NULL: lambda self, token: self.expression(exp.Null(), token),
        TokenType.TRUE: lambda self, token: self.expression(exp.Boolean(this=True), token),
        TokenType.FALSE: lambda self, token: self.expression(exp.Boolean(this=False), token),
    }
    SUBQUERY_PREDICATES: ClassVar = {TokenType.EXISTS: exp.Exists}
    # not names of tables: these words begin a clause there
    TABLE_ALIAS_TOKENS = Parser.TABLE_ALIAS_TOKENS - {
        TokenType.PIVOT,
        TokenType.UNPIVOT,
        TokenType.OFFSET,
        TokenType.LIMIT,
    }
    STATEMENT_PARSERS: ClassVar[dict[TokenType, Callable[..., Any]]] = {}

    def raise_error(self, message: str, token: Token = SENTINEL_NONE) -> None:
        """Raise Encountered for a token that the grammar does not expect."""
        found = token or self._curr
        raise Encountered(message, found or None)

    def spanned(self, node: exp.Expr, first: Token) -> exp.Expr:
        """The node, which begins at a token and ends at the parenthesis that comes now."""
        if self._curr.token_type is not TokenType.R_PAREN:
            self.raise_error("Expecting )")
        node.update_positions(first)
        node.meta["end"] = self._curr.end
        return node

    def _match_r_paren(self, expression: exp.Expr | None = None) -> None:
        super()._match_r_paren(expression)
        if isinstance(expression, exp.Func) and "start" in expression.meta:
            expression.meta["end"] = self._prev.end

    def _parse_statement(self) -> exp.Expr | None:
        first = self._curr
        if first.token_type not in (TokenType.SELECT, TokenType.WITH, TokenType.VALUES, TokenType.L_PAREN):
            self.raise_error("Expecting SELECT")
        found = super()._parse_statement()
        if not isinstance(found, exp.Query | exp.Values):
            self.raise_error("Expecting SELECT", first)
        return found

    def _parse_projections(self) -> tuple[list[exp.Expr], list[exp.Expr] | None]:
        found = super()._parse_projections()
        if not found[0]:
            self.raise_error("Expecting a column")
        return found

    def _parse_csv(self, parse_method: Callable[[], Any], sep: TokenType = TokenType.COMMA) -> list[Any]:
        items = [first] if (first := parse_method()) is not None else []
        while self._match(sep):
            item = parse_method()
            if item is None:
                self.raise_error("Expecting an expression after the comma")
            items.append(item)
        return items

    def _parse_case(self) -> exp.Expr | None:
        case = self._prev
        operand = self._parse_disjunction()
        ifs = []
        while self._match(TokenType.WHEN):
            when = self._parse_disjunction()
            self._expect(TokenType.THEN)
            ifs.append(self.expression(exp.If(this=when, true=self._parse_disjunction())))
        default = self._parse_disjunction() if self._match(TokenType.ELSE) else None
        if not ifs:
            self.raise_error("Expecting WHEN")
        self._expect(TokenType.END)
        node = self.expression(exp.Case(this=operand, ifs=ifs, default=default), case)
        node.meta["end"] = self._prev.end
        return node

    def _parse_lambda(self, alias: bool = False) -> exp.Expr | None:
        # COUNT(ALL x) is COUNT(x)
        self._match(TokenType.ALL)
        return super()._parse_lambda(alias=alias)

    def _parse_table(self, *args: Any, **kwargs: Any) -> exp.Expr | None:
        if self._curr.token_type is not TokenType.TABLE:
            return super()._parse_table(*args, **kwargs)
        self._advance()
        self._expect(TokenType.L_PAREN)
        table = self.expression(exp.Table(this=self._parse_function()))
        if not isinstance(table.this, exp.Anonymous):
            self.raise_error("Expecting EXTEND_TIME_WINDOW")
        self._match_r_paren()
        table.meta["is_call"] = True
        if alias := self._parse_table_alias():
            table.set("alias", alias)
        return table

    def _parse_table_alias(self, *args: Any, **kwargs: Any) -> exp.TableAlias | None:
        is_promised = self._curr.token_type is TokenType.ALIAS
        alias = super()._parse_table_alias(*args, **kwargs)
        if is_promised and alias is None:
            self.raise_error("Expecting a name after AS")
        return alias

    def _parse_group(self, *args: Any, **kwargs: Any) -> exp.Group | None:
        group = super()._parse_group(*args, **kwargs)
        if group is not None and not group.expressions:
            self.raise_error("Expecting a column or its number")
        return group

    def _parse_join(self, *args: Any, **kwargs: Any) -> exp.Join | None:
        index = self._index
        join = super()._parse_join(*args, **kwargs)
        if join is not None and index < len(self._tokens):
            words = self._tokens[index : index + 4]
            last = next((word for word in words if word.token_type is TokenType.JOIN), words[0])
            # the place of the keywords; a comma has none, and what is joined has its own
            if words[0].token_type is not TokenType.COMMA:
                join.meta["keywords"] = (words[0].start, last.end)
        return join

    def _expect(self, token_type: TokenType) -> None:
        if not self._match(token_type):
            self.raise_error(f"Expecting {token_type.name}")


class AmcGenerator(Generator):
    """AMC SQL from a tree, for texts that quote a part of a query."""

    def table_sql(self, expression: exp.Table, sep: str = " ") -> str:
        """A table; one over a longer time window is written as a table function."""
        if not isinstance(expression.this, exp.Anonymous):
            return super().table_sql(expression, sep=sep)
        alias = expression.args.get("alias")
        return f"TABLE({self.sql(expression.this)})" + (f"{sep}AS {self.sql(alias)}" if alias else "")


class Amc(Dialect):
    """AMC SQL: Calcite's grammar without what AMC leaves out."""

    # Calcite takes NULL for the greatest of all; AMC's pages do not say (amc-api 3.1)
    NULL_ORDERING = "nulls_are_large"
    INDEX_OFFSET = 1
    SUPPORTS_USER_DEFINED_TYPES = False
    SUPPORTS_ORDER_BY_ALL = False

    Tokenizer = AmcTokenizer
    Parser = AmcParser
    Generator = AmcGenerator


def tokenized(sql: str) -> Sequence[Token]:
    """The tokens of a text; raises sqlglot's TokenError."""
    return AmcTokenizer(dialect=Amc).tokenize(sql)
