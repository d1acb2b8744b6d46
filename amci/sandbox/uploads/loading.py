"""Puts the files of one upload into a new version of its data set, with DuckDB in bounded memory (amc-api 2.5)."""

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

from amci.kernel.errors import StorageError
from amci.kernel.files import storage_errors
from amci.kernel.names import literal, quoted
from amci.sandbox.uploads.bucket_files import BucketFile, UploadFailed, UploadFiles, found
from amci.sandbox.uploads.checks import Values
from amci.sandbox.uploads.columns import Column, flagged, identifier
from amci.sandbox.uploads.datasets import columns_of
from amci.sandbox.uploads.formats import Opened, mistake, opened
from amci.sandbox.uploads.identities import resolving
from amci.sandbox.uploads.resolving import Resolver
from amci.sandbox.uploads.unpacking import unpacked
from amci.sandbox.uploads.versions import take_over

_MOST_SAID = 20  #: problems in one message
_USER = '"user_id", "user_id_type", "amci user", "amci part", "amci identities"'
_UNITS = {"PT1H": "hour", "P1D": "day", "P1M": "month"}


@dataclass(frozen=True, slots=True)
class UploadOutcome:
    """What an upload has brought."""

    rows: int
    message: str  #: what the uploader should know; empty where there is nothing
    keys: Sequence[str]  #: of the columns the version has values of


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadLoad:
    """One upload into one data set."""

    data_set: Row
    upload: Row
    have: Sequence[Path]  #: files of the present version
    buckets: Path
    people: Callable[[], str]  #: asked only where there is somebody to find
    memory_limit: int  #: bytes

    def into(self, part: Path) -> UploadOutcome:
        """Write the new version's files into the folder `part`; raises UploadFailed, StorageError."""
        asked = json.loads(self.upload["request"])
        files = found(self.buckets, asked["dataSource"])
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
            return self._told(files, written)
        except duckdb.Error as error:
            raise mistake(self._at, error) from error
        except FileNotFoundError as error:
            raise UploadFailed(f"{self._at.key}: the file was removed while it was read.") from error

    def _checked(self, files: Sequence[BucketFile]) -> list[Values]:
        """All files, looked at before anything is written; raises UploadFailed with all problems."""
        said: list[str] = []
        good = []
        for number, file in enumerate(files):
            self._at = file
            try:
                values = Values(self._opened(number, file), self._columns)
            except UploadFailed as error:
                said.append(str(error))
                continue
            checked = values.checked(self._con)
            said += checked.problems
            self._without_country += checked.without_country
            good.append(values)
        if said:
            more = len(said) - _MOST_SAID
            raise UploadFailed(" ".join(said[:_MOST_SAID] + ([f"And {more} more."] if more > 0 else [])))
        return good

    def _opened(self, number: int, file: BucketFile) -> Opened:
        file_format, compression = self._asked["fileFormat"], self._asked.get("compressionFormat") or "NONE"
        path = file.path
        if "parquetDataFormat" not in file_format:  # Parquet is compressed inside
            place = self._work / str(number)
            place.mkdir()
            path = unpacked(file, compression, place)
        return opened(self._con, file, path, file_format)

    def _written(self, files: Sequence[BucketFile], values: Sequence[Values]) -> list[Path]:
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
        """Rows of periods that have rows already are left out, where the strategy says so."""
        if self._asked["updateStrategy"] != "OVERLAP_KEEP" or not self._load.have:
            return ""
        return f" WHERE {self._period()} NOT IN (SELECT {self._period()} FROM {_read(self._load.have)})"

    def _merge(self, written: Sequence[Path]) -> None:
        """Bring rows of the present version over."""
        have, strategy = self._load.have, self._asked["updateStrategy"]
        if not have or strategy == "FULL_REPLACE":
            return
        if strategy != "OVERLAP_REPLACE":
            take_over(have, self._part)
            return
        new = f"SELECT {self._period()} FROM {_read(written)}"
        self._copy(
            f"SELECT * FROM {_read(have)} WHERE {self._period()} NOT IN ({new})",
            self._part / f"{self._load.upload['upload_id']}-kept.parquet",
        )

    def _period(self) -> str:
        """The period of a row, as SQL."""
        column = flagged(self._columns, "isMainEventTime")
        unit = _UNITS[self._about["period"]]
        return f"date_trunc('{unit}', CAST({column['key'] if column else 'NULL'} AS TIMESTAMP))"

    def _told(self, files: UploadFiles, written: Sequence[Path]) -> UploadOutcome:
        said = []
        columns = "count(*)"
        if any(map(identifier, self._columns)):
            columns += ', count(*) FILTER (WHERE len("amci identities") > 0), count(user_id)'
        rows, *matches = self._con.execute(f"SELECT {columns} FROM {_read(written)}").fetchall()[0]
        if matches:
            said.append(f"{matches[1]} of {matches[0]} rows with identifiers matched a user.")
            has_country = self._asked.get("countryCode") or self._about.get("countryCode")
            if self._without_country and not has_country:
                said.append(
                    f"{self._without_country} rows have no country code: AMC takes them as UNKNOWN and matches"
                    " fewer of them. Set countryCode for the rows, the upload or the data set."
                )
        if files.skipped:
            said.append(
                f"{files.skipped} files were skipped: their names start with a period or an underscore."
            )
        replaced = self._asked["updateStrategy"] == "FULL_REPLACE"
        before = [] if replaced else json.loads(self._load.data_set["stored"])
        now = [column["key"] for column in self._columns if _is_stored(column)]
        return UploadOutcome(int(rows), " ".join(said), sorted({*before, *now}))

    def _copy(self, query: str, target: Path) -> None:
        self._con.execute(f"COPY ({query}) TO {literal(str(target))} (FORMAT parquet, ROW_GROUP_SIZE 100000)")


def _is_stored(column: Column) -> bool:
    """Whether it has values of its own; identifiers are dropped once they are resolved."""
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


def leave_out(
    files: Sequence[Path], keys: Sequence[str], people: str, target: Path, memory_limit: int
) -> None:
    """Write the rows of `files` to `target` but for those of the people whom the identities `keys` mean.

    A row is theirs where it was uploaded with such an identity, or with another one of the same user. Raises
    StorageError.
    """
    try:
        with TemporaryDirectory(dir=target.parent.parent, prefix=".work-") as work:
            _leave_out(files, keys, people, target, memory_limit, Path(work))
    except duckdb.Error as error:
        raise StorageError(
            f"rows of people who are to be forgotten: {str(error).splitlines()[0]}",
            hint="check the disk; it is tried again",
        ) from error


def _leave_out(
    files: Sequence[Path], keys: Sequence[str], people: str, target: Path, memory_limit: int, work: Path
) -> None:
    listed = ", ".join(literal(str(file)) for file in files)
    rows = f"read_parquet([{listed}], union_by_name = true, hive_partitioning = false)"
    with session(memory_limit, work) as con:
        con.execute("CREATE TEMP TABLE targets AS SELECT unnest(?::VARCHAR[]) AS key", [list(keys)])
        con.execute(f"CREATE TEMP TABLE users AS {_users(con, keys, people)}")
        con.execute(
            f'COPY (SELECT * FROM {rows} WHERE "amci user" NOT IN (SELECT "amci user" FROM users)'
            ' AND NOT list_has_any("amci identities", (SELECT list(key) FROM targets)))'
            f" TO {literal(str(target))} (FORMAT parquet, ROW_GROUP_SIZE 100000)"
        )


def _users(con: duckdb.DuckDBPyConnection, keys: Sequence[str], people: str) -> str:
    """The users that the identities match; a relation of their numbers."""
    resolver = Resolver(con, people)
    found = []
    for kind in sorted({each.partition(":")[0] for each in keys}):
        mark = literal(f"{kind}:")
        own = f'SELECT substr(key, {len(kind) + 2}) AS {quoted(kind)}, key AS "amci row" FROM targets'
        own += f" WHERE starts_with(key, {mark})"
        found.append(resolver.resolved(own, [((kind,), (kind,))]))
    union = " UNION ALL ".join(f'SELECT "amci user" FROM ({each})' for each in found)
    return f'SELECT DISTINCT "amci user" FROM ({union}) WHERE "amci user" > 0'


@contextmanager
def session(memory_limit: int, work: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A session that may use so many bytes, and beyond them the folder `work`."""
    with duckdb.connect() as con:
        for setting in (
            "TimeZone = 'UTC'",
            "threads = 1",  # records keep their order, so that they can be counted
            f"memory_limit = '{memory_limit // 1024}KiB'",
            f"temp_directory = {literal(str(work / 'spill'))}",
            "autoinstall_known_extensions = false",
            "autoload_known_extensions = false",
        ):
            con.execute(f"SET {setting}")
        yield con
