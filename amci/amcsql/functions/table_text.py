"""Functions of AMC SQL about text, hashes and JSON."""

from __future__ import annotations

from amci.amcsql.functions.model import MANY, Function

_F = Function

TEXTS = (
    _F("CHARINDEX", 2, 3, "value", "INTEGER", "", "SS"),
    _F("CONCAT", 1, MANY, "value", "STRING"),
    _F("FORMAT", 2, 2, "shape", "STRING"),
    _F("FROM_VARBINARY", 2, 2, "shape", "STRING"),
    _F("HASH64", 1, 1, "shape", "LONG",
       "CAST(CAST(md5_number_lower($1) AS HUGEINT) - 9223372036854775808 AS BIGINT)", "S"),
    _F("INSTR", 2, 2, "value", "INTEGER", "", "SS"),
    _F("JSON_EXTRACT", 2, 2, "shape", "STRING",
       "CASE WHEN json_valid($1) THEN json_extract($1, $2) END", "SS"),
    _F("JSON_SERIALIZE", 1, 1, "shape", "STRING", "CAST($1 AS VARCHAR)"),
    _F("LEFT", 2, 2, "shape", "STRING", "left($1, greatest($2, 0))", "S"),
    _F("LENGTH", 1, 1, "value", "INTEGER", "", "S"),
    _F("LOCATE", 2, 3, "value", "INTEGER", "", "SS"),
    _F("LOWER", 1, 1, "shape", "STRING", "", "S"),
    _F("LTRIM", 1, 2, "shape", "STRING", "", "SS"),
    _F("MD5", 1, 1, "shape", "STRING", "", "S"),
    _F("POSITION", 2, 3, "value", "INTEGER"),
    _F("REGEXP_REPLACE", 3, 3, "shape", "STRING", "", "SSS"),
    _F("REGEXP_SPLIT", 2, 2, "shape", "ARRAY", "", "SS"),
    _F("REGEXP_SUBSTR", 2, 2, "shape", "STRING", "", "SS"),
    _F("REPLACE", 3, 3, "shape", "STRING", "", "SSS"),
    _F("RIGHT", 2, 2, "shape", "STRING", "right($1, greatest($2, 0))", "S"),
    _F("RTRIM", 1, 2, "shape", "STRING", "", "SS"),
    _F("SHA1", 1, 1, "shape", "STRING", "", "S"),
    _F("STRPOS", 2, 2, "value", "INTEGER", "", "SS"),
    _F("STR_TO_MAP", 3, 3, "shape", "UNKNOWN",
       "map_from_entries(list_transform(string_split($1, $2), lambda amci_entry: "
       "row(split_part(amci_entry, $3, 1), CASE WHEN contains(amci_entry, $3) "
       "THEN array_to_string(string_split(amci_entry, $3)[2:], $3) END)))", "SSS"),
    _F("SUBSTRING", 2, 3, "shape", "STRING"),
    _F("TO_VARBINARY", 2, 2, "shape", "BINARY"),
    _F("TRIM", 1, 3, "shape", "STRING"),
    _F("UPPER", 1, 1, "shape", "STRING", "", "S"),
    # Calcite has them; AMC's pages do not name them
    _F("CHARACTER_LENGTH", 1, 1, "value", "INTEGER", "length", "S", is_documented=False),
    _F("CHAR_LENGTH", 1, 1, "value", "INTEGER", "length", "S", is_documented=False),
    _F("SUBSTR", 2, 3, "shape", "STRING", "substring", "S", is_documented=False),
)  # fmt: skip
