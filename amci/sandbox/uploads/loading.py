"""Writes versions of data sets with DuckDB, in bounded memory: with an upload, or without some people (amc-api 2.5).

All files are checked before any is written, so an upload is taken whole or not at all. Files of the old version that
stay as they are become hard links in the new one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import Row
from tempfile import TemporaryDirectory
from typing import Any

import duckdb

from amci.kernel.duckdb_settings import limits, no_extensions
from amci.kernel.errors import StorageError
from amci.kernel.files import storage_errors
from amci.kernel.names import literal, quoted
from amci.sandbox.uploads.bucket_files import BucketFile, UploadFailed, UploadFiles, files_named
from amci.sandbox.uploads.checks import ColumnValues
from amci.sandbox.uploads.columns import Column, flagged, identifier
from amci.sandbox.uploads.datasets import columns_of
from amci.sandbox.uploads.formats import FileRelation, mistake, relation_of
from amci.sandbox.uploads.identities import Resolver, resolving
from amci.sandbox.uploads.unpacking import unpacked
from amci.sandbox.uploads.versions import link_files

_MOST_PROBLEMS = 20  #: problems in one message
_USER = '"user_id", "user_id_type", "amci user", "amci part", "amci identities"'
_UNITS = {"PT1H": "hour", "P1D": "day", "P1M": "month"}


@dataclass(frozen=True, slots=True)
class UploadOutcome:
    """The result of an upload."""

    rows: int
    message: str  #: for the uploader; may be empty
    keys: Sequence[str]  #: of the columns that the version has values of


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadLoad:
    """One upload into one data set."""

    data_set: Row
    upload: Row
    have: Sequence[Path]  #: files of the current version
    buckets: Path
    people: Callable[[], str]  #: a SELECT of the people, needed only if there are identifiers
    memory_limit: int  #: bytes

    def into(self, part: Path) -> UploadOutcome:
        """Write the new version's files into the folder `part`. Raises UploadFailed, StorageError."""
        asked = json.loads(self.upload["request"])
        files = files_named(self.buckets, asked["dataSource"])
        with (
            storage_errors("upload"),
            TemporaryDirectory(dir=part.parent, prefix=".work-") as work,
            session(self.memory_limit, Path(work)) as con,
        ):
            return _Loading(self, asked, con, Path(work), part).load(files)


class _Loading:
    """The steps of a load, in one session."""

    def __init__(
        self,
        load: UploadLoad,
        asked: Mapping[str, Any],
        con: duckdb.DuckDBPyConnection,
        work: Path,
        part: Path,
    ) -> None:
        self._load, self._asked, self._con, self._work, self._part = load, asked, con, work, part
        self._about = json.loads(load.data_set["document"])
        self._columns = columns_of(load.data_set)
        self._without_country = 0

    def load(self, files: UploadFiles) -> UploadOutcome:
        self._at = files.files[0]
        try:
            values = self._checked(files.files)
            written = self._written(files.files, values)
            self._merge(written)
            return self._outcome(files, written)
        except duckdb.Error as error:
            raise mistake(self._at, error) from error
        except FileNotFoundError as error:
            raise UploadFailed(f"{self._at.key}: the file was removed while it was read.") from error

    def _checked(self, files: Sequence[BucketFile]) -> list[ColumnValues]:
        """Check all files. Raises UploadFailed with all their problems."""
        problems: list[str] = []
        good = []
        for number, file in enumerate(files):
            self._at = file
            try:
                values = ColumnValues(self._relation(number, file), self._columns)
            except UploadFailed as error:
                problems.append(str(error))
                continue
            check = values.check(self._con)
            problems += check.problems
            self._without_country += check.without_country
            good.append(values)
        if problems:
            more = len(problems) - _MOST_PROBLEMS
            raise UploadFailed(
                " ".join(problems[:_MOST_PROBLEMS] + ([f"And {more} more."] if more > 0 else []))
            )
        return good

    def _relation(self, number: int, file: BucketFile) -> FileRelation:
        file_format, compression = self._asked["fileFormat"], self._asked.get("compressionFormat") or "NONE"
        path = file.path
        if "parquetDataFormat" not in file_format:  # Parquet is compressed inside
            place = self._work / str(number)
            place.mkdir()
            path = unpacked(file, compression, place)
        return relation_of(self._con, file, path, file_format)

    def _written(self, files: Sequence[BucketFile], values: Sequence[ColumnValues]) -> list[Path]:
        """A Parquet file of the new version for each uploaded file."""
        upload_id = self._load.upload["upload_id"]
        kinds = resolving([kind for column in self._columns if (kind := identifier(column))])
        resolver = Resolver(self._con, self._load.people()) if kinds else None
        keys = [column["key"] for column in self._columns if _is_stored(column)]
        written = []
        for number, (file, each) in enumerate(zip(files, values, strict=True)):
            self._at = file
            relation = each.sql(f"{upload_id}|{number}|")
            if resolver:
                relation = resolver.resolved(relation, [(each_kinds, each_kinds) for each_kinds in kinds])
            elif flagged(self._columns, "isMainUserId"):
                relation = _without_users(relation)
            names = [*keys, *([_USER] if flagged(self._columns, "isMainUserId") else [])]
            target = self._part / f"{upload_id}-{number}.parquet"
            self._copy(f"SELECT {', '.join(names)} FROM ({relation}){self._not_kept()}", target)
            written.append(target)
        return written

    def _not_kept(self) -> str:
        """A condition that leaves out rows of periods which have rows already, if the strategy says so."""
        if self._asked["updateStrategy"] != "OVERLAP_KEEP" or not self._load.have:
            return ""
        return f" WHERE {self._period()} NOT IN (SELECT {self._period()} FROM {_read(self._load.have)})"

    def _merge(self, written: Sequence[Path]) -> None:
        """Keep the rows of the current version that the strategy keeps."""
        have, strategy = self._load.have, self._asked["updateStrategy"]
        if not have or strategy == "FULL_REPLACE":
            return
        if strategy != "OVERLAP_REPLACE":
            link_files(have, self._part)
            return
        new = f"SELECT {self._period()} FROM {_read(written)}"
        self._copy(
            f"SELECT * FROM {_read(have)} WHERE {self._period()} NOT IN ({new})",
            self._part / f"{self._load.upload['upload_id']}-kept.parquet",
        )

    def _period(self) -> str:
        """The period of a row, as SQL: the main event time, truncated."""
        column = flagged(self._columns, "isMainEventTime")
        unit = _UNITS[self._about["period"]]
        return f"date_trunc('{unit}', CAST({column['key'] if column else 'NULL'} AS TIMESTAMP))"

    def _outcome(self, files: UploadFiles, written: Sequence[Path]) -> UploadOutcome:
        messages = []
        columns = "count(*)"
        if any(map(identifier, self._columns)):
            columns += ', count(*) FILTER (WHERE len("amci identities") > 0), count(user_id)'
        rows, *matches = self._con.execute(f"SELECT {columns} FROM {_read(written)}").fetchall()[0]
        if matches:
            messages.append(f"{matches[1]} of {matches[0]} rows with identifiers matched a user.")
            has_country = self._asked.get("countryCode") or self._about.get("countryCode")
            if self._without_country and not has_country:
                messages.append(
                    f"{self._without_country} rows have no country code: AMC takes them as UNKNOWN and matches"
                    " fewer of them. Set countryCode for the rows, the upload or the data set."
                )
        if files.skipped:
            messages.append(
                f"{files.skipped} files were skipped: their names start with a period or an underscore."
            )
        replaced = self._asked["updateStrategy"] == "FULL_REPLACE"
        before = [] if replaced else json.loads(self._load.data_set["stored"])
        now = [column["key"] for column in self._columns if _is_stored(column)]
        return UploadOutcome(int(rows), " ".join(messages), sorted({*before, *now}))

    def _copy(self, query: str, target: Path) -> None:
        self._con.execute(f"COPY ({query}) TO {literal(str(target))} (FORMAT parquet, ROW_GROUP_SIZE 100000)")


def _is_stored(column: Column) -> bool:
    """Whether its values are stored; identifiers are dropped once they are resolved."""
    return not identifier(column) and not column.get("isMainUserId") and not column.get("isMainUserIdType")


def _without_users(relation: str) -> str:
    part = 'CAST(md5_number_upper("amci row") % 1048576 AS INTEGER)'
    return (
        "SELECT *, CAST(NULL AS VARCHAR) AS user_id, CAST(NULL AS VARCHAR) AS user_id_type,"
        f' CAST(0 AS BIGINT) AS "amci user", {part} AS "amci part", CAST([] AS VARCHAR[]) AS "amci identities"'
        f" FROM ({relation})"
    )


def _read(files: Sequence[Path]) -> str:
    listed = ", ".join(literal(str(file)) for file in files)
    return f"read_parquet([{listed}], union_by_name = true, hive_partitioning = false)"


def without_people(
    files: Sequence[Path], keys: Sequence[str], people: str, target: Path, memory_limit: int
) -> None:
    """Write the rows of `files` to `target`, without those of the people whom the identities `keys` stand for.

    These are the rows uploaded with such an identity, or with another one of the same user. Raises StorageError.
    """
    try:
        with TemporaryDirectory(dir=target.parent.parent, prefix=".work-") as work:
            _write_without_people(files, keys, people, target, memory_limit, Path(work))
    except duckdb.Error as error:
        raise StorageError(
            f"remove the rows of deleted users: {str(error).splitlines()[0]}",
            hint="check the disk; it is tried again",
        ) from error


def _write_without_people(
    files: Sequence[Path], keys: Sequence[str], people: str, target: Path, memory_limit: int, work: Path
) -> None:
    with session(memory_limit, work) as con:
        con.execute("CREATE TEMP TABLE targets AS SELECT unnest(?::VARCHAR[]) AS key", [list(keys)])
        con.execute(f"CREATE TEMP TABLE users AS {_users(con, keys, people)}")
        con.execute(
            f'COPY (SELECT * FROM {_read(files)} WHERE "amci user" NOT IN (SELECT "amci user" FROM users)'
            ' AND NOT list_has_any("amci identities", (SELECT list(key) FROM targets)))'
            f" TO {literal(str(target))} (FORMAT parquet, ROW_GROUP_SIZE 100000)"
        )


def _users(con: duckdb.DuckDBPyConnection, keys: Sequence[str], people: str) -> str:
    """A SELECT of the numbers of the users whom the identities match."""
    resolver = Resolver(con, people)
    matches = []
    for kind in sorted({each.partition(":")[0] for each in keys}):
        mark = literal(f"{kind}:")
        own = f'SELECT substr(key, {len(kind) + 2}) AS {quoted(kind)}, key AS "amci row" FROM targets'
        own += f" WHERE starts_with(key, {mark})"
        matches.append(resolver.resolved(own, [((kind,), (kind,))]))
    union = " UNION ALL ".join(f'SELECT "amci user" FROM ({each})' for each in matches)
    return f'SELECT DISTINCT "amci user" FROM ({union}) WHERE "amci user" > 0'


@contextmanager
def session(memory_limit: int, work: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A session with no more than `memory_limit` bytes of memory, which spills into the folder `work`."""
    with duckdb.connect() as con:
        # With one thread the records keep their order, so that they can be counted.
        con.execute(no_extensions() + limits(memory_limit, threads=1, temp=work / "spill"))
        yield con
