"""A table of the lake: its name, where it lies, and what its columns are stored as."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amci.kernel.files import json_of
from amci.kernel.names import quoted
from amci.lake.catalog.duck import LAKE
from amci.lake.catalog.headers import TableHeaders
from amci.lake.catalog.kinds import Kind
from amci.lake.datasets.objects import RESERVED


@dataclass(frozen=True, slots=True)
class TableName:
    """A table of the lake."""

    schema: str
    table: str

    @property
    def sql(self) -> str:
        """Quoted, with the catalog."""
        return quoted(LAKE, self.schema, self.table)

    def __str__(self) -> str:
        return f"{self.schema}.{self.table}"


@dataclass(frozen=True, slots=True)
class TableHome:
    """What rows of a table are written as, and where."""

    columns: Mapping[str, str]  #: names and SQL types, as stored
    folder: Path  #: absolute
    partition_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A file with rows of a table that no commit covers yet."""

    path: Path
    home: TableHome  #: what the table was, or was going to be, when it was written


#: The comment of a table is JSON. This lists its columns that have had no value yet. Lakes of earlier releases have the
#: list alone, behind these words, or the words as the comment of each column; but a comment costs what the table has
#: columns.
NO_VALUE = "no value yet"
#: Here it has the headers of files by column, where they are not the column's name, and the columns whose headers
#: nobody kept. A comment without them is of an earlier release.
_HEADERS, _UNKNOWN = "headers", "headers not known"


def empty_columns(columns: Mapping[str, str]) -> list[str]:
    """The columns that have had no value yet."""
    return [column for column, sql_type in columns.items() if sql_type == Kind.NOTHING]


def noted(comment: str | None, columns: Sequence[str]) -> tuple[set[str], TableHeaders]:
    """What a table's comment says: columns that have had no value yet, and what files call them."""
    says: dict[str, Any] = {}
    if (comment or "").startswith("{"):
        says = json_of(comment or "")
    elif comment and (listed := comment.removeprefix(f"{NO_VALUE}: ")) != comment:
        says = {NO_VALUE: json_of(listed)}
    known = {column: tuple(headers) for column, headers in says.get(_HEADERS, {}).items()}
    unknown = says.get(_UNKNOWN, () if _HEADERS in says else columns)
    headers = TableHeaders(known=known, unknown=frozenset(unknown) - RESERVED)
    return set(says.get(NO_VALUE, ())), headers


def comment_of(columns: Mapping[str, str], headers: TableHeaders) -> str:
    """The comment of a table, which `noted` reads."""
    empty = empty_columns(columns)
    says: dict[str, Any] = {NO_VALUE: empty} if empty else {}
    says[_HEADERS] = headers.known
    if headers.unknown:
        says[_UNKNOWN] = sorted(headers.unknown)
    return json.dumps(says, ensure_ascii=False)


def stored(sql_type: str) -> str:
    """The type a column is stored with: text while it has had no value."""
    return Kind.VARCHAR.sql if sql_type == Kind.NOTHING else sql_type
