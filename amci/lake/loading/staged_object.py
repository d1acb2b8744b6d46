"""What a light run hands to the heavy run: where the rows of one object version lie, and what is known of them.

It travels as the JSON payload of the heavy run, so that it outlives the process, and upkeep can tell from it
which files of pre-stage are still needed. For `acme/reach.csv` with 120 rows:

    {"object_id": 7, "version": 1, "again": "",
     "tables": [{"table": "reach", "files": ["adtech/amc/reach/reach.7v1.parquet"], "rows": 120, "quoted": [],
                 "values": [], "sha256": ["5e88…"], "headers": {"total_sales": "Total Sales"}}],
     "partition": {"customer": "acme"}, "constants": {}, "workflow_id": "reach", "schedule": null,
     "export_time": "2026-03-01T06:00:00.000000Z", "sha256": "9f86…", "origin": {}, "types": {"users": "LONG"}}
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Self

from amci.kernel.clock import moment, timestamp
from amci.kernel.run import NewRun, Run
from amci.lake.catalog.headers import FileColumns
from amci.lake.landing.ingest import Lane

#: An object with more rows for a table is large: it is loaded by itself, into a file of its own. So is what was cast
#: while it was read.
LARGE = 500_000
_RETYPING = re.compile(r"~\d+[.]\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedFile:
    """All rows of an object for one partition of a table, cast while they were read."""

    file: str  #: relative to pre-stage
    sha256: str  #: hexadecimal
    partition: Mapping[str, str]  #: column to value, in the order of the table's partitions


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedTable:
    """The rows of an object for one table."""

    table: str  #: its name in the schema of the dataset
    files: tuple[str, ...]  #: Parquet files, relative to pre-stage; other objects may have rows in them
    rows: int  #: of this object, in all the files
    quoted: frozenset[str] = frozenset()  #: columns that had strings other than words
    mixed: frozenset[str] = frozenset()  #: columns that may have had both strings and numbers
    #: SQL types of columns that the raw file itself states
    types: Mapping[str, str] = field(default_factory=dict)
    #: columns that were values (in JSON, in Parquet, of a transform), not text that people wrote, see `ALL`; None if an
    #: earlier release wrote this
    values: frozenset[str] | None = None
    #: columns that may be numbers or dates as people write them, though the dataset does not say how; a few
    odd: frozenset[str] = frozenset()
    sha256: tuple[str, ...] = ()  #: of the files, hexadecimal; empty if an earlier release wrote them
    #: the file's names for columns that have another one, see `FileColumns`; None if an earlier release wrote this
    headers: Mapping[str, str] | None = None
    earlier: Mapping[str, str] = field(
        default_factory=dict
    )  #: what earlier releases called columns, if otherwise

    typed: tuple[TypedFile, ...] = ()  #: the same rows as the table would have them, if they were cast so
    cast_hash: str = ""  #: how they were cast, see `StagedSource.cast_hash`

    @property
    def checked_files(self) -> list[tuple[str, str | None]]:
        """The files, each with its checksum if it has one."""
        return list(zip(self.files, self.sha256 or [None] * len(self.files), strict=True))

    def columns(self, names: Iterable[str]) -> FileColumns:
        """The columns of these names, as the file has them."""
        return FileColumns(headers=self.headers or {}, earlier=self.earlier).only(names)

    def placed(self, columns: FileColumns, place: Callable[[FileColumns], dict[str, str]]) -> dict[str, str]:
        """The column of the table for each of `columns`: what `place` says, unless an earlier release named both."""
        if self.headers is None:
            return {name: columns.earlier.get(name, name) for name in columns.headers}
        return place(columns)

    def to_payload(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "table": self.table,
            "files": list(self.files),
            "rows": self.rows,
            "quoted": sorted(self.quoted),
            **({"mixed": sorted(self.mixed)} if self.quoted or self.mixed else {}),
            **({"types": dict(self.types)} if self.types else {}),
            **({} if self.values is None else {"values": sorted(self.values)}),
            **({"odd": sorted(self.odd)} if self.odd else {}),
            **({"sha256": list(self.sha256)} if self.sha256 else {}),
            **({} if self.headers is None else {"headers": dict(self.headers)}),
            **({"earlier": dict(self.earlier)} if self.earlier else {}),
            **({"typed": list(map(asdict, self.typed)), "cast_hash": self.cast_hash} if self.typed else {}),
        }

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> Self:
        """What `to_payload` wrote."""
        return cls(
            table=payload["table"],
            files=tuple(payload["files"]),
            rows=payload["rows"],
            quoted=frozenset(payload["quoted"]),
            # An earlier release did not look.
            mixed=frozenset(payload.get("mixed", payload["quoted"])),
            types=payload.get("types", {}),
            values=frozenset(payload["values"]) if "values" in payload else None,
            odd=frozenset(payload.get("odd", ())),
            sha256=tuple(payload.get("sha256", ())),
            headers=payload.get("headers"),
            earlier=payload.get("earlier", {}),
            typed=tuple(TypedFile(**file) for file in payload.get("typed", ())),
            cast_hash=payload.get("cast_hash", ""),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedObject:
    """One object version in pre-stage, ready for its heavy run."""

    object_id: int  #: in the state file
    version: int  #: counts from 1
    again: str = ""  #: sets a repeated run apart from the first; empty for the first
    tables: tuple[StagedTable, ...] = ()  #: empty if there are no rows: only the older version's have to go
    reason: str = ""  #: why there are no rows
    forgets: bool = False  #: whether all versions of the object are to leave the lake
    partition: Mapping[str, str | None] = field(default_factory=dict)  #: Hive partitions that the key decides
    constants: Mapping[str, str] = field(default_factory=dict)  #: columns with one text value for all rows
    workflow_id: str | None = None  #: of the workflow that made the result; None for other files
    schedule: str | None = None  #: that started it, as the key names it
    export_time: datetime | None = None  #: when AMC made the result; aware, UTC
    sha256: str = ""  #: of the raw file, hexadecimal
    origin: Mapping[str, str] = field(default_factory=dict)  #: what the sidecar says of the execution
    types: Mapping[str, str] = field(default_factory=dict)  #: AMC's types of the columns
    notes: tuple[Mapping[str, Any], ...] = ()  #: what to tell of the rows, as notes of a quality rule
    read_by: str = (
        ""  #: the hash of the rules by which it was read, see `Rules.reading_hash`; empty if unknown
    )

    def to_payload(self) -> dict[str, Any]:
        """As JSON values."""
        version = {"object_id": self.object_id, "version": self.version, "again": self.again}
        if not self.tables:
            forgets = {"forgets": True} if self.forgets else {}
            return version | {"tables": [], "reason": self.reason, **forgets}
        return version | {
            "tables": [table.to_payload() for table in self.tables],
            "partition": dict(self.partition),
            "constants": dict(self.constants),
            "workflow_id": self.workflow_id,
            "schedule": self.schedule,
            "export_time": timestamp(self.export_time) if self.export_time else None,
            "sha256": self.sha256,
            "origin": dict(self.origin),
            "types": dict(self.types),
            "read_by": self.read_by,
            **({"notes": list(map(dict, self.notes))} if self.notes else {}),
        }

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> Self:
        """What `to_payload` wrote, now or in an earlier release that knew fewer of the keys."""
        export_time = payload.get("export_time")
        return cls(
            object_id=payload["object_id"],
            version=payload["version"],
            again=payload.get("again", ""),
            tables=tuple(map(StagedTable.from_payload, payload["tables"])),
            reason=payload.get("reason", ""),
            forgets=payload.get("forgets", False),
            partition=payload.get("partition", {}),
            constants=payload.get("constants", {}),
            workflow_id=payload.get("workflow_id"),
            schedule=payload.get("schedule"),
            export_time=moment(export_time) if export_time else None,
            sha256=payload.get("sha256", ""),
            origin=payload.get("origin", {}),
            types=payload.get("types", {}),
            notes=tuple(payload.get("notes", ())),
            read_by=payload.get("read_by", ""),
        )


def retyping(run: Run) -> str:
    """What sets runs apart that load objects again because `run` makes a column of their table text."""
    return f"~{run.run_id}.{run.claims}"


def is_retyping(again: str) -> bool:
    """Whether a run is one of those; other repetitions have a time or a word there."""
    return bool(_RETYPING.fullmatch(again))


def heavy_run(root: str, key: str, earlier: Run, staged: StagedObject) -> NewRun:
    """The run that loads what is in pre-stage of an object version.

    `earlier` is a run of that object, light or heavy, whose tenant, lock and correlation id go on.
    """
    is_large = any(table.rows > LARGE or table.typed for table in staged.tables)
    lane = Lane.after("heavy", earlier, is_large=is_large)
    return NewRun(
        idempotency_key=f"heavy:{root}/{key}@{staged.version}{staged.again}",
        kind="heavy",
        tenant_id=earlier.tenant_id,
        lock_key=earlier.lock_key,
        pool=lane.pool,
        batch_key=lane.batch_key,
        correlation_id=earlier.correlation_id,
        payload=staged.to_payload(),
    )
