"""Which function of AMC SQL a node calls, and the family of types of any expression (amc-api 3.2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from sqlglot import exp

from amci.amcsql.findings import Finding, place_of
from amci.amcsql.functions.table import FUNCTIONS, Family, Function, common

__all__ = ["Function", "arguments", "arity_fault", "function_of", "type_of", "unknown_function"]

#: Operators that are handled as functions because of their role.
_LIKE = Function("LIKE", 2, 3, "compare", "BOOLEAN")
_SIMILAR = Function("SIMILAR TO", 2, 2, "compare", "BOOLEAN")
_ARRAY = Function("ARRAY", 0, 10_000, "value", "ARRAY")
_JOINED = Function("||", 2, 2, "value", "STRING", is_documented=False)

_BY_CLASS: dict[type[exp.Expr], Function] = {
    exp.Array: _ARRAY,
    exp.Avg: FUNCTIONS["AVG"],
    exp.Case: FUNCTIONS["CASE"],
    exp.Cast: FUNCTIONS["CAST"],
    exp.Coalesce: FUNCTIONS["COALESCE"],
    exp.Concat: FUNCTIONS["CONCAT"],
    exp.Count: FUNCTIONS["COUNT"],
    exp.CurrentDate: FUNCTIONS["CURRENT_DATE"],
    exp.CurrentTimestamp: FUNCTIONS["CURRENT_TIMESTAMP"],
    exp.DPipe: _JOINED,
    exp.Extract: FUNCTIONS["EXTRACT"],
    exp.If: FUNCTIONS["IF"],
    exp.Like: _LIKE,
    exp.Max: FUNCTIONS["MAX"],
    exp.Min: FUNCTIONS["MIN"],
    exp.Nullif: FUNCTIONS["NULLIF"],
    exp.SimilarTo: _SIMILAR,
    exp.StrPosition: FUNCTIONS["POSITION"],
    exp.Substring: FUNCTIONS["SUBSTRING"],
    exp.Sum: FUNCTIONS["SUM"],
    exp.Trim: FUNCTIONS["TRIM"],
}

_FAMILIES: dict[exp.DType, Family] = {
    **dict.fromkeys(exp.DataType.TEXT_TYPES, "STRING"),
    **dict.fromkeys((exp.DType.TINYINT, exp.DType.SMALLINT, exp.DType.INT), "INTEGER"),
    **dict.fromkeys((exp.DType.BIGINT, exp.DType.INT128), "LONG"),
    **dict.fromkeys((exp.DType.FLOAT, exp.DType.DOUBLE), "DOUBLE"),
    **dict.fromkeys((exp.DType.BINARY, exp.DType.VARBINARY), "BINARY"),
    **dict.fromkeys((exp.DType.ARRAY, exp.DType.LIST), "ARRAY"),
    exp.DType.DECIMAL: "DECIMAL",
    exp.DType.BOOLEAN: "BOOLEAN",
    exp.DType.DATE: "DATE",
    exp.DType.TIMESTAMP: "TIMESTAMP",
    exp.DType.STRUCT: "ROW",
}
_NUMBERS = ("INTEGER", "LONG", "DECIMAL", "DOUBLE")
_LARGEST_INTEGER = 2**31 - 1

_TODAY = "use CAST('today' AS DATE) or CAST('now' AS TIMESTAMP)"
_BETWEEN = "use SECONDS_BETWEEN(start, end), which gives seconds; divide by 86400 for days"
_CONCATENATED = "use ARRAY_TO_STRING(COLLECT(x), ',')"
_CAST = "use CAST(x AS …)"
_PATTERN = "use x SIMILAR TO 'pattern'"
_PART = "use EXTRACT(unit FROM x) or a function such as YEAR(x)"
_SHIFT = "AMC cannot add days to a date; compare with SECONDS_BETWEEN(start, end)"

#: Hints for functions of other SQL dialects, by name: what AMC SQL has instead.
_OTHER_DIALECTS: Mapping[str, str] = {
    **dict.fromkeys(("GETDATE", "NOW", "SYSDATE", "TODAY", "CURRENT_TIME", "LOCALTIMESTAMP"), _TODAY),
    **dict.fromkeys(("DATEDIFF", "DATE_DIFF", "TIMESTAMPDIFF", "TIMESTAMP_DIFF"), _BETWEEN),
    **dict.fromkeys(("DATEADD", "DATE_ADD", "DATE_SUB", "TIMESTAMPADD", "ADD_MONTHS"), _SHIFT),
    **dict.fromkeys(("LISTAGG", "STRING_AGG", "GROUP_CONCAT"), _CONCATENATED),
    **dict.fromkeys(
        ("TO_DATE", "TO_TIMESTAMP", "TO_CHAR", "TO_NUMBER", "DATE", "TRY_CAST", "SAFE_CAST"), _CAST
    ),
    **dict.fromkeys(("REGEXP_LIKE", "REGEXP", "RLIKE", "REGEXP_CONTAINS", "REGEXP_MATCHES"), _PATTERN),
    **dict.fromkeys(("DATEPART", "DATE_PART", "DAY", "QUARTER", "DAYNAME", "MONTHNAME"), _PART),
    **dict.fromkeys(
        ("ARRAY_AGG", "COLLECT_LIST", "COLLECT_SET", "LIST"), "use COLLECT(x) or COLLECT(DISTINCT x)"
    ),
    **dict.fromkeys(("SIZE", "ARRAY_LENGTH", "ARRAY_SIZE"), "use CARDINALITY(x)"),
    **dict.fromkeys(("STRUCT", "ROW", "NAMED_STRUCT"), "use NAMED_ROW('name', value, …)"),
    **dict.fromkeys(("COUNT_IF", "COUNTIF"), "use SUM(IF(condition, 1, 0))"),
    **dict.fromkeys(("SUM_IF", "SUMIF"), "use SUM(IF(condition, x, 0))"),
    **dict.fromkeys(("IIF", "DECODE"), "use IF(condition, a, b) or CASE"),
    **dict.fromkeys(("SPLIT", "SPLIT_PART", "STRING_SPLIT"), "use REGEXP_SPLIT(x, pattern)"),
    "ARRAY_JOIN": "use ARRAY_TO_STRING(x, ',')",
    "BOOL_OR": "use MAX(IF(condition, 1, 0))",
    "CONCAT_WS": "use ARRAY_TO_STRING(ARRAY[a, b], ',')",
    "CONTAINS": "use ARRAY_CONTAINS(x, value) for arrays, x LIKE '%…%' for text",
    "FROM_UNIXTIME": "use EPOCH_TO_UTC_TIMESTAMP(x)",
    "ISNULL": "use IFNULL(x, y) or x IS NULL",
    "LEN": "use LENGTH(x)",
    "REGEXP_EXTRACT": "use REGEXP_SUBSTR(x, pattern)",
    "SHA2": "use SHA1(x) or HASH64(x)",
    "SHA256": "use SHA1(x) or HASH64(x)",
    "UNNEST": "use EXPLODE(x)",
}


def function_of(node: exp.Expr) -> Function | None:
    """The function that a node calls; None for other nodes, and for functions that AMC lacks."""
    if isinstance(node, exp.Anonymous):
        return FUNCTIONS.get(node.name.upper())
    if isinstance(node, exp.If) and isinstance(node.parent, exp.Case):
        return None
    return _BY_CLASS.get(type(node))


def arguments(node: exp.Expr) -> list[exp.Expr]:
    """What a call is given, in order; of CASE, the values it may have."""
    if isinstance(node, exp.Case):
        default = node.args.get("default")
        return [branch.args["true"] for branch in node.args["ifs"]] + ([default] if default else [])
    found: list[exp.Expr] = []
    for key in node.arg_types:
        value = node.args.get(key)
        found += [
            each for each in (value if isinstance(value, list) else [value]) if isinstance(each, exp.Expr)
        ]
    return found


def unknown_function(sql: str, node: exp.Expr) -> Finding:
    """A call of something AMC does not have, in Calcite's words."""
    name = node.name.upper() if isinstance(node, exp.Anonymous) else node.key.upper()
    signature = f"{name}({', '.join('<ANY>' for _ in arguments(node))})"
    near = get_close_matches(name, FUNCTIONS, n=1, cutoff=0.7)
    hint = _OTHER_DIALECTS.get(name) or (
        f"did you mean {near[0]}?" if near else "AMC has no function of this name"
    )
    return Finding(
        severity="error",
        code="unknown-function",
        text=f"No match found for function signature {signature}",
        place=place_of(sql, node),
        hint=hint,
    )


def arity_fault(function: Function, node: exp.Expr) -> str | None:
    """What is wrong with the number of arguments, in Calcite's words; None if it is right."""
    count = len(arguments(node))
    if not isinstance(node, exp.Anonymous) or function.takes(count):
        return _named_row_fault(function, count)
    return f"Invalid number of arguments to function '{function.name}'. Was expecting {_expected(function)}"


def _named_row_fault(function: Function, count: int) -> str | None:
    if function.name == "NAMED_ROW" and count % 2:
        return "Invalid number of arguments to function 'NAMED_ROW'. Was expecting labels and values in pairs"
    return None


def _expected(function: Function) -> str:
    if function.most > 100:  # noqa: PLR2004 - no function takes so many but those that take any number
        return f"{function.least} arguments or more"
    if function.least == function.most:
        return f"{function.least} argument{'' if function.least == 1 else 's'}"
    return f"{function.least} to {function.most} arguments"


def type_of(node: exp.Expr, column_type: Callable[[exp.Column], Family]) -> Family:
    """The family of an expression: STRING, INTEGER, LONG, DOUBLE, DECIMAL, BOOLEAN, DATE, TIMESTAMP, BINARY, ARRAY,
    ROW, NULL or UNKNOWN.

    `column_type` knows the columns.
    """  # noqa: D205 - the list is the shape
    return family_of(node, column_type, lambda child: type_of(child, column_type))


def family_of(
    node: exp.Expr, column_type: Callable[[exp.Column], Family], of: Callable[[exp.Expr], Family]
) -> Family:
    """The family of one node, where `of` knows those below it."""
    if isinstance(node, exp.Column):
        return column_type(node)
    if isinstance(node, exp.Cast):
        return _FAMILIES.get(node.to.this, "UNKNOWN")
    if (function := function_of(node)) is not None:
        result = function.result
        return result if isinstance(result, str) else result([of(each) for each in arguments(node)])
    rule = next((rule for kinds, rule in _RULES if isinstance(node, kinds)), None)
    return rule(node, of) if rule else "UNKNOWN"


def _literal(node: exp.Literal) -> Family:
    if node.is_string:
        return "STRING"
    text = node.name.lower()
    if "e" in text:
        return "DOUBLE"
    if "." in text:
        return "DECIMAL"
    return "INTEGER" if int(text) <= _LARGEST_INTEGER else "LONG"


def _computed(node: exp.Binary, left: Family, right: Family) -> Family:
    if isinstance(node, exp.Div):
        return "DOUBLE"
    for side in (left, right):
        if side in ("DATE", "TIMESTAMP"):
            return side
    if "STRING" in (left, right):
        return "DOUBLE"
    found: Sequence[Family] = [side for side in (left, right) if side in _NUMBERS]
    return common(found) if found else "UNKNOWN"


def _of_first(nodes: Sequence[exp.Expr], of: Callable[[exp.Expr], Family]) -> Family:
    return of(nodes[0]) if nodes else "UNKNOWN"


#: By class, the first that fits.
_RULES: tuple[tuple[tuple[type, ...], Callable[[Any, Callable[[exp.Expr], Family]], Family]], ...] = (
    ((exp.Literal,), lambda node, _: _literal(node)),
    ((exp.Alias, exp.Paren, exp.Neg, exp.Window, exp.Ordered), lambda node, of: of(node.this)),
    ((exp.Predicate, exp.Connector, exp.Not, exp.Boolean, exp.Exists), lambda _, __: "BOOLEAN"),
    ((exp.Binary,), lambda node, of: _computed(node, of(node.this), of(node.expression))),
    ((exp.Distinct,), lambda node, of: _of_first(node.expressions, of)),
    ((exp.Query,), lambda node, of: _of_first(node.selects, of)),
    ((exp.Null,), lambda _, __: "NULL"),
)
