"""What AMC SQL says instead of functions that people know from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping

_TODAY = "use CAST('today' AS DATE) or CAST('now' AS TIMESTAMP)"
_BETWEEN = "use SECONDS_BETWEEN(start, end), which gives seconds; divide by 86400 for days"
_JOINED = "use ARRAY_TO_STRING(COLLECT(x), ',')"
_CAST = "use CAST(x AS …)"
_PATTERN = "use x SIMILAR TO 'pattern'"
_PART = "use EXTRACT(unit FROM x) or a function such as YEAR(x)"
_SHIFT = "AMC does not add days to dates; compare with SECONDS_BETWEEN(start, end)"

ELSEWHERE: Mapping[str, str] = {
    **dict.fromkeys(("GETDATE", "NOW", "SYSDATE", "TODAY", "CURRENT_TIME", "LOCALTIMESTAMP"), _TODAY),
    **dict.fromkeys(("DATEDIFF", "DATE_DIFF", "TIMESTAMPDIFF", "TIMESTAMP_DIFF"), _BETWEEN),
    **dict.fromkeys(("DATEADD", "DATE_ADD", "DATE_SUB", "TIMESTAMPADD", "ADD_MONTHS"), _SHIFT),
    **dict.fromkeys(("LISTAGG", "STRING_AGG", "GROUP_CONCAT"), _JOINED),
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
