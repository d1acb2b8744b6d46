"""Whether a statement only reads, and only what its session shows, judged on DuckDB's own parse tree."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import duckdb

from amci.kernel.errors import QueryError
from amci.kernel.names import literal
from amci.lake.catalog.duck import first_line

#: Table functions that read no file, change nothing and take no table's name as text. All others are refused.
_HARMLESS = frozenset(
    {
        *("range", "generate_series", "unnest", "repeat", "repeat_row", "json_each", "json_tree", "summary"),
        *("icu_calendar_names", "pg_timezone_names", "test_all_types"),
    }
)
#: Further ones for a session that sees the whole lake: what there is, and what changed when.
_DESCRIBING = frozenset(
    {
        *("duckdb_columns", "duckdb_constraints", "duckdb_databases", "duckdb_functions", "duckdb_keywords"),
        *("duckdb_memory", "duckdb_schemas", "duckdb_settings", "duckdb_tables", "duckdb_types"),
        *("duckdb_views", "pragma_show", "pragma_table_info", "pragma_version", "ducklake_snapshots"),
        *("ducklake_current_snapshot", "ducklake_table_info", "ducklake_table_changes"),
        *("ducklake_table_insertions", "ducklake_table_deletions"),
    }
)
#: Scalar functions that do more than compute.
_ACTING = frozenset({"write_log", "getenv", "nextval", "currval", "json_execute_serialized_sql"})
#: Scalar functions that tell of rows which a view hides.
_TELLING = frozenset({"stats", "error", *_ACTING})
_BUILT_IN_CATALOGS = frozenset({"system", "temp"})
_EXPLAIN = re.compile(
    r"EXPLAIN\b(?:\s+ANALYZE\b)?(?:\s*\((?:\s*(?:ANALYZE|FORMAT\s+\w+)\s*,?)+\s*\))?", re.IGNORECASE
)
_WORD = re.compile(r"\"(?:[^\"]|\"\")*\"|'(?:[^']|'')*'|\w+")
_HINT = "the lake is written by `amci drain` and `amci up` alone; queries only read it"
_TABLES_HINT = "SHOW TABLES lists tables, DESCRIBE TABLE their columns"


class UnknownTable(QueryError):
    """The statement names a table its session does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogScope:
    """What the statements of a session may name; everything in lower case."""

    catalog: str  #: the one database the tables are in
    tables: frozenset[tuple[str, str]]  #: schema and table
    built_in: frozenset[tuple[str, str]]  #: schema and view of DuckDB's own metadata
    tenant: str | None  #: None if the whole lake is shown

    @property
    def functions(self) -> frozenset[str]:
        """The table functions that may be called."""
        return _HARMLESS if self.tenant else _HARMLESS | _DESCRIBING

    @property
    def refused(self) -> QueryError:
        """What a session for one tenant says of everything else."""
        return QueryError(f"a session for tenant {self.tenant} sees only its own tables", hint=_TABLES_HINT)


def split(sql: str) -> list[str]:
    """The statements of a script, without their semicolons and without empty ones; QueryError if it is no UTF-8."""
    data = _encoded(sql)
    pieces, start = [], 0
    tokens = duckdb.tokenize(sql)
    ends = [offset for offset, _ in tokens if data[offset : offset + 1] == b";"]
    for end in [*ends, len(data)]:
        if any(start <= offset < end for offset, _ in tokens):
            pieces.append(data[start:end].decode().strip())
        start = end + 1
    return pieces


def _encoded(sql: str) -> bytes:
    try:
        return sql.encode()
    except UnicodeEncodeError:
        raise QueryError("the statement is not UTF-8 text", hint="save or type it in UTF-8") from None


def is_complete(text: str) -> bool:
    """Whether the last statement of `text` has its semicolon, outside quotes and comments."""
    data = _encoded(text)
    tokens = duckdb.tokenize(text)
    return bool(tokens) and data[tokens[-1][0] :].startswith(b";")


def checked(con: duckdb.DuckDBPyConnection, sql: str, scope: CatalogScope) -> str:
    """The one reading statement in `sql`.

    Raises UnknownTable for a table that is not in `scope`, QueryError for anything that is wrong, writes,
    changes settings, reads files, or looks behind the catalog or behind the views of one tenant.
    """
    statements = split(sql)
    if not statements:
        raise QueryError("there is no statement", hint='try: amci query "SELECT * FROM amci.objects LIMIT 5"')
    if len(statements) > 1:
        raise QueryError(f"{len(statements)} statements; one at a time", hint="run them one after another")
    text = statements[0]
    try:
        kinds = [statement.type for statement in con.extract_statements(text)]
    except duckdb.Error as error:
        raise QueryError(first_line(error)) from None
    text = text.encode()[duckdb.tokenize(text)[0][0] :].decode()
    tree = _tree(con, _EXPLAIN.sub("", text, count=1) if kinds == [duckdb.StatementType.EXPLAIN] else text)
    if tree is not None:
        _check_tree(tree, scope)
    elif _is_pivot(kinds):
        _check_words(con, text, scope)
    else:
        kind = kinds[0].name.replace("_", " ")
        # DuckDB counts some PRAGMAs as SELECT; only what its parser can write out as a SELECT is one here.
        kind = text.split(maxsplit=1)[0].upper() if kind in ("SELECT", "EXPLAIN") else kind
        raise QueryError(f"{kind} is not allowed here: queries only read", hint=_HINT)
    return text


def _is_pivot(kinds: list[duckdb.StatementType]) -> bool:
    """Whether these are the two steps DuckDB makes of a PIVOT without IN: collect the values, then select."""
    create, select = duckdb.StatementType.CREATE, duckdb.StatementType.SELECT
    return len(kinds) > 1 and kinds[-1] == select and set(kinds[:-1]) == {create}


def _tree(con: duckdb.DuckDBPyConnection, text: str) -> Any:
    """The parsed SELECT as plain values; None if it is not a SELECT."""
    try:
        # A literal: for parameters, DuckDB imports NumPy and pandas, which takes longer than most queries.
        # With its schema: DuckDB would look for it in the lake's first, which reads the newest snapshot.
        row = con.execute(f"SELECT system.main.json_serialize_sql({literal(text)})").fetchall()[0]
        document = json.loads(row[0])
    except (RecursionError, duckdb.Error):
        raise QueryError("the statement is nested too deeply", hint="write it in smaller steps") from None
    return None if document["error"] else document["statements"]


def _check_tree(tree: Any, scope: CatalogScope) -> None:
    nodes = [tree]
    while nodes:
        node = nodes.pop()
        if isinstance(node, list):
            nodes += node
        elif isinstance(node, dict):
            nodes += node.values()
            if node.get("type") == "BASE_TABLE":
                _check_table([node["catalog_name"], node["schema_name"], node["table_name"]], scope)
            elif node.get("type") == "SHOW_REF":
                _check_show(node, scope)
            elif node.get("type") == "TABLE_FUNCTION":
                _check_function(node["function"]["schema"], node["function"]["function_name"], scope)
            elif node.get("class") == "FUNCTION" and node["function_name"].lower() in _forbidden(scope):
                raise QueryError(f"{node['function_name'].lower()}() is not allowed here", hint=_HINT)


def _check_table(parts: list[str], scope: CatalogScope) -> None:
    """A table is known by name, so that DuckDB never takes the name for a file's or another catalog's."""
    catalog, schema, table = (part.lower() for part in parts)
    shown = ".".join(part for part in parts if part)
    if "__ducklake" in shown.lower():
        raise QueryError(
            "the catalog's own tables are not for queries", hint="`amci lake --help` lists what shows them"
        )
    if catalog not in ("", scope.catalog) and (scope.tenant or catalog not in _BUILT_IN_CATALOGS):
        raise scope.refused if scope.tenant else UnknownTable(f"there is no {shown}", hint=_TABLES_HINT)
    if schema:
        is_built_in, is_known = (schema, table) in scope.built_in, (schema, table) in scope.tables
    else:
        is_built_in = any(table == name for _, name in scope.built_in)
        is_known = any(table == name for _, name in scope.tables)
        # Without a schema it may also be the name of a CTE; DuckDB's file names have a dot or a slash.
        is_known = is_known or not (is_built_in or re.search(r"[./\\:]", table))
    if not is_known and is_built_in and scope.tenant:
        raise scope.refused
    if not is_known and not is_built_in:
        raise UnknownTable(f"there is no table {shown}", hint=_TABLES_HINT)


def _check_show(node: dict[str, Any], scope: CatalogScope) -> None:
    if not scope.tenant or node["query"]:
        return
    own = {schema for schema, _ in scope.tables} | {""}
    if node["table_name"] != '"tables"' or node["catalog_name"] or node["schema_name"].lower() not in own:
        raise scope.refused


def _check_function(schema: str, name: str, scope: CatalogScope) -> None:
    full = name.lower() if schema.lower() in ("", "main") else f"ducklake_{name.lower()}"
    if schema.lower() not in ("", "main", scope.catalog) or full not in scope.functions:
        if scope.tenant:
            raise scope.refused
        raise QueryError(
            f"{name.lower()}() is not allowed here: a query reads the lake and nothing else",
            hint=_TABLES_HINT,
        )


def _forbidden(scope: CatalogScope) -> frozenset[str]:
    return _TELLING if scope.tenant else _ACTING


def _check_words(con: duckdb.DuckDBPyConnection, text: str, scope: CatalogScope) -> None:
    """The same rules, more strictly, on the words of a PIVOT without IN, for its tree is not to be had."""
    functions = con.execute(
        "SELECT DISTINCT lower(function_name) FROM duckdb_functions()"
        " WHERE function_type IN ('table', 'table_macro')"
    ).fetchall()
    refused = ({name for (name,) in functions} - scope.functions) | _forbidden(scope)
    hidden = {view for _, view in scope.built_in} | {"lake", *_BUILT_IN_CATALOGS} if scope.tenant else set()
    tables = {table for _, table in scope.tables}
    words = list(_words(text))
    for before, word, following in zip([";", *words], words, [*words[1:], ";"], strict=False):
        name = word.strip("\"'").lower()
        calls = following == "(" and (name in refused or before == ".")
        is_file = name not in tables and (
            re.search(r"[/\\]|^\$|\.(?:" + "|".join(_FILES) + r")$", name) is not None
            or (before == "." and name in _FILES)
            or (word.lower() in ("e", "x", "b", "u") and following.startswith(("'", "&")))
        )
        if calls or (is_file and word.strip("/")) or "__ducklake" in name or name in hidden:
            raise QueryError(
                f"this PIVOT cannot be checked because of {name}", hint="give the values: PIVOT … ON … IN (…)"
            )


#: Endings by which DuckDB takes a table's name for a file's.
_FILES = ("csv", "tsv", "txt", "parquet", "json", "jsonl", "ndjson", "gz", "zst", "db", "duckdb", "arrow")


def _words(text: str) -> Iterator[str]:
    """DuckDB's tokens as written, without white space and comments."""
    data = text.encode()
    offsets = [offset for offset, _ in duckdb.tokenize(text)]
    for offset, end in zip(offsets, [*offsets[1:], len(data)], strict=True):
        raw = data[offset:end].decode(errors="replace")
        match = _WORD.match(raw)
        yield match[0] if match else raw.split(maxsplit=1)[0]
