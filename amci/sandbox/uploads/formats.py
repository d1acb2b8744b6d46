"""Uploaded CSV, JSON and Parquet files as one kind of relation: the number of each record, and its values as text.

Values stay text here, whatever the format, so that `checks` has one way to test and cast them. CSV is read by DuckDB
with fixed options, not by its sniffer: a file must not be read differently because of its content. Python's reader
goes over the file again only for what DuckDB does not tell: the line of a record, and a last quote that never ends.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from amci.kernel.files import storage_errors
from amci.kernel.names import literal, quoted
from amci.sandbox.uploads.bucket_files import BucketFile, UploadFailed

#: A part of DuckDB's error about a CSV file → the message; the whole error would reveal content of the file.
_CSV_MISTAKES = {
    "Expected Number of Columns": "it has not as many fields as the header",
    "unterminated quote": "a quoted value does not end, or something follows its end",
    "not utf-8": "it is not UTF-8",
    "Maximum line size": "the line is too long",
}
_LINE = re.compile(r"([Ll]ine|record)(?:/value)?:? (\d+)")
_LONGEST_LINE = 2 << 20
#: Quoted; no column of a data set can have this name.
RECORD = '"amci record"'
#: DuckDB's type of a Parquet column → its text as a CSV file would have it.
_AS_TEXT = {
    "TIMESTAMP": "strftime({}, '%Y-%m-%dT%H:%M:%S.%fZ')",
    "TIMESTAMP WITH TIME ZONE": "strftime({} AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ')",
}


@dataclass(frozen=True, slots=True)
class FileRelation:
    """A file as a relation: RECORD, the number of the record from 1, and a text column for each name."""

    file: BucketFile
    path: Path  #: of the decompressed content
    names: Sequence[str]  #: of the columns it has
    sql: str
    options: Mapping[str, str] | None  #: of CSV; None for other formats

    def place(self, record: int) -> str:
        """The place of a record for a message: its line in CSV, otherwise its number."""
        if self.options is not None and (line := _line_of(self.path, self.options, record, len(self.names))):
            return f"{self.file.key}, line {line}"
        return f"{self.file.key}, record {record}"


def relation_of(
    con: duckdb.DuckDBPyConnection, file: BucketFile, path: Path, file_format: Mapping[str, Any]
) -> FileRelation:
    """The relation of a file in the format that the upload names. Raises UploadFailed."""
    if "csvDataFormat" in file_format:
        return _csv(file, path, file_format["csvDataFormat"] or {})
    if "jsonDataFormat" in file_format:
        return _json(con, file, path, is_document=file_format["jsonDataFormat"] == "DOCUMENT")
    return _parquet(con, file, path)


def mistake(file: BucketFile, error: duckdb.Error) -> UploadFailed:
    """The error for what DuckDB could not read, without any of the content."""
    text = str(error)
    if isinstance(error, duckdb.OutOfMemoryException):
        return UploadFailed(
            f"{file.key}: needs more memory than a query may use; upload it in smaller files."
        )
    if "No space left" in text:
        return UploadFailed("The sandbox's disk is full; free some space and upload again.")
    found = _LINE.search(text)
    if "JSON" in text:
        # DuckDB reports the line after the wrong one
        return UploadFailed(
            f"{file.key}{f', {found[1]} {int(found[2]) - 1}' if found else ''}: not valid JSON."
        )
    where = f"{file.key}, line {found[2]}" if found else file.key
    for sign, problem in _CSV_MISTAKES.items():
        if sign.lower() in text.lower():
            return UploadFailed(f"{where}: {problem}.")
    return UploadFailed(f"{where}: cannot be read; it is damaged or has another format than the upload says.")


def _csv(file: BucketFile, path: Path, options: Mapping[str, str]) -> FileRelation:
    names = _header(file, path, options)
    _check_end(file, path, options)
    columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in names)
    quote, escape = _quote_and_escape(options)
    settings = {
        "delim": options.get("fieldDelimiter") or ",",
        "quote": quote,
        "escape": escape,
        "comment": options.get("commentCharacter") or "",
        "compression": "none",
    }
    given = ", ".join(f"{name} = {literal(value)}" for name, value in settings.items())
    return FileRelation(
        file,
        path,
        names,
        f"SELECT row_number() OVER () AS {RECORD}, * FROM read_csv({literal(str(path))}, auto_detect = false,"
        f" header = true, columns = {{{columns}}}, allow_quoted_nulls = true, parallel = false,"
        f" max_line_size = {_LONGEST_LINE}, {given})",
        options,
    )


def _header(file: BucketFile, path: Path, options: Mapping[str, str]) -> Sequence[str]:
    delimiter = options.get("fieldDelimiter") or ","
    with (
        storage_errors(f"read {file.key}"),
        path.open(encoding="utf-8-sig", errors="replace", newline="") as stream,
    ):
        first = next(_lines(stream, options), "")
    if "\N{REPLACEMENT CHARACTER}" in first:
        raise UploadFailed(f"{file.key}: it is not UTF-8.")
    quote, _ = _quote_and_escape(options)
    if len(delimiter) == 1:
        names = next(csv.reader([first], delimiter=delimiter, quotechar=quote), [])
    else:
        names = [name.strip(quote) for name in first.rstrip("\r\n").split(delimiter)]
    if not any(names):
        raise UploadFailed(f"{file.key}: it has no header with the names of the columns.")
    return _different(file, names)


def _different(file: BucketFile, names: Sequence[str]) -> Sequence[str]:
    first: dict[str, int] = {}
    for number, name in enumerate(names, start=1):
        # without a header these are values, so a message must not repeat them
        if (before := first.setdefault(name.lower(), number)) != number:
            raise UploadFailed(f"{file.key}: columns {before} and {number} have the same name.")
    return names


def _lines(stream: Any, options: Mapping[str, str]) -> Iterator[str]:
    """Lines that are neither empty nor a comment, each of bounded length."""
    comment = options.get("commentCharacter")
    while line := stream.readline(_LONGEST_LINE):
        if line.strip() and not (comment and line.startswith(comment)):
            yield line


def _check_end(file: BucketFile, path: Path, options: Mapping[str, str]) -> None:
    """Raise UploadFailed if the last quoted value never ends: DuckDB would leave out that record silently."""
    quote, escape = _quote_and_escape(options)
    with storage_errors(f"read {file.key}"), path.open("rb") as stream:
        pieces = iter(lambda: stream.read(1 << 20), b"")
        # quotes come in pairs; read the file again only if they do not
        if escape == quote and sum(piece.count(quote.encode()) for piece in pieces) % 2 == 0:
            return
    try:
        for _ in _records(path, options):
            pass
    except csv.Error as error:
        if "unexpected end of data" in str(error):
            raise UploadFailed(f"{file.key}: the last quoted value does not end.") from error
    except UnicodeDecodeError as error:
        raise UploadFailed(f"{file.key}: it is not UTF-8.") from error


def _records(path: Path, options: Mapping[str, str]) -> Iterator[tuple[int, list[str]]]:
    """The records as Python reads them: the number of the line before each, and its fields. Raises csv.Error."""
    quote, escape = _quote_and_escape(options)
    before = 0
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.reader(
            stream,
            delimiter=(options.get("fieldDelimiter") or ",")[0],
            quotechar=quote,
            doublequote=escape == quote,
            escapechar=None if escape == quote else escape,
            strict=True,
        )
        for row in reader:
            yield before, row
            before = reader.line_num


def _quote_and_escape(options: Mapping[str, str]) -> tuple[str, str]:
    quote = options.get("quoteCharacter") or '"'
    return quote, (options.get("quoteEscapeCharacter") or quote)[0]


def _line_of(path: Path, options: Mapping[str, str], record: int, width: int) -> int | None:
    """The line that a record begins on; reads the file again, so it is for messages only."""
    comment, seen = options.get("commentCharacter"), -1
    try:
        for before, row in _records(path, options):
            is_record = bool(row) or (width == 1 and seen >= 0)
            if is_record and not (comment and row and row[0].startswith(comment)):
                seen += 1
            if seen == record:
                return before + 1
    except csv.Error:
        return None
    return None


def _json(con: duckdb.DuckDBPyConnection, file: BucketFile, path: Path, *, is_document: bool) -> FileRelation:
    form = "newline_delimited"
    if is_document:
        with storage_errors(f"read {file.key}"), path.open("rb") as stream:
            form = "array" if stream.read(1024).lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"[" else "unstructured"
    objects = (
        f"read_json_objects({literal(str(path))}, format = '{form}', compression = 'uncompressed',"
        f" maximum_object_size = {_LONGEST_LINE})"
    )
    try:
        wrong = con.execute(
            f"SELECT min(n) FROM (SELECT row_number() OVER () AS n, json FROM {objects})"
            " WHERE coalesce(json_type(json), '') <> 'OBJECT'"
        ).fetchall()[0][0]
        found = con.execute(f"SELECT DISTINCT unnest(json_keys(json)) FROM {objects}").fetchall()
    except duckdb.Error as error:
        raise mistake(file, error) from error
    if wrong:
        raise UploadFailed(f"{file.key}, record {wrong}: one JSON object per row is expected.")
    names = _different(file, sorted(name for (name,) in found))
    values = "".join(f", json ->> {literal(_pointer(name))} AS {quoted(name)}" for name in names)
    return FileRelation(
        file, path, names, f"SELECT row_number() OVER () AS {RECORD}{values} FROM {objects}", None
    )


def _pointer(name: str) -> str:
    """The JSON pointer of a key, with its special characters escaped."""
    return f"/{name.replace('~', '~0').replace('/', '~1')}"


def _parquet(con: duckdb.DuckDBPyConnection, file: BucketFile, path: Path) -> FileRelation:
    scan = f"read_parquet({literal(str(path))}, hive_partitioning = false)"
    try:
        described = con.execute(f"DESCRIBE SELECT * FROM {scan}").fetchall()
    except duckdb.Error as error:
        raise mistake(file, error) from error
    values = "".join(f", {_text_of(name, kind)} AS {quoted(name)}" for name, kind, *_ in described)
    return FileRelation(
        file,
        path,
        _different(file, [name for name, *_ in described]),
        f"SELECT row_number() OVER () AS {RECORD}{values} FROM {scan}",
        None,
    )


def _text_of(name: str, kind: str) -> str:
    kind = "TIMESTAMP" if kind.startswith("TIMESTAMP_") else kind
    return _AS_TEXT.get(kind, "CAST({} AS VARCHAR)").format(quoted(name))
