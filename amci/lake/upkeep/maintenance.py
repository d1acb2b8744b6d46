"""Keeping the lake small and open: merging, forgetting, deleting, and publishing it for other tools."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from amci.kernel.clock import Clock
from amci.kernel.errors import DamagedFile, UsageError
from amci.kernel.files import storage_errors
from amci.kernel.state import State
from amci.kernel.workspace import WorkspacePaths
from amci.lake.catalog.catalog import Catalog
from amci.lake.catalog.duck import LAKE, METADATA, showing
from amci.lake.catalog.tables import TableName
from amci.lake.datasets.dataset import Dataset
from amci.lake.query.inspect import all_tables, table_named
from amci.lake.upkeep import publish
from amci.lake.upkeep.check import files_below, known_files, scheduled_files, staged_files
from amci.lake.upkeep.partitions import outdated

#: Files are deleted when nothing has needed them for this long, so that queries under way keep theirs.
GRACE = timedelta(hours=1)

Report = dict[str, Any]

#: Files merged into one at first; DuckLake opens all of them at once, and each takes memory beyond its limit.
_TOGETHER = 100
#: DuckLake's own size of a full file, bytes.
_FULL = 512 * 1000**2
#: Snapshots forgotten in one transaction.
_CHUNK = 1000
#: The name `files.replacing` gives to what is not complete yet.
_PART = re.compile(r"\..+\.\d+-\d+\.part")


@dataclass(frozen=True, slots=True)
class Maintenance:
    """Upkeep of one lake, by the one process that writes to it; readers may be at work meanwhile."""

    workspace: WorkspacePaths
    catalog: Catalog
    state: State
    clock: Clock
    tell: Callable[[str], None]  #: hears what is being done, in a few words

    def publish(self) -> Report:
        """Write catalog.duckdb, the lake as views for tools that know no DuckLake."""
        return publish.publish(self.catalog, self.workspace.published, self.tell)

    def export_parquet(self, folder: Path) -> Report:
        """Copy every table into the new `folder`. Raises UsageError if it exists and is not empty."""
        return publish.export_parquet(self.catalog, folder, self.tell)

    def compact(self, table: str | None) -> Report:
        """Rewrite files with deleted rows and merge small ones, table by table.

        The old files stay for snapshots and queries until `expire` and `vacuum`. Raises NotFound, and, when the
        other tables are done, DamagedFile for a table with a file that is not what was written: it stays as it is.
        """
        there = all_tables(self.catalog.con)
        names = [table_named(table, there)] if table else there
        names.sort(key=lambda name: name == publish.OBJECTS)  # last, for flushing reads it
        self.catalog.reattach()
        before = self._file_count(names)
        damaged: DamagedFile | None = None
        for name in names:
            self.tell(str(name))
            try:
                self.catalog.checksums.require(str(name), smaller_than=_FULL)
                with self.catalog.guard.watching(f"compact {name}"):
                    if name == publish.OBJECTS:
                        self.catalog.con.execute(
                            f"CALL ducklake_flush_inlined_data('{LAKE}', schema_name => 'amci')"
                        )
                    publish.rewrite(self.catalog.con, name)
                    self._merge(name)
            except DamagedFile as error:
                damaged = damaged or error
        if damaged:
            raise damaged
        self._publish_again()
        return {"tables": len(names), "files_before": before, "files_after": self._file_count(names)}

    def rewrite(self, table: str | None, datasets: Iterable[Dataset], *, dry_run: bool) -> Report:
        """Rewrite tables whose files are partitioned otherwise than the configuration says now, each in one commit.

        What was rewritten is not rewritten again, so it can be killed and started again. The old files stay for
        snapshots and queries until `expire` and `vacuum`. Raises NotFound, DamagedFile.
        """
        chosen = table_named(table, all_tables(self.catalog.con)) if table else None
        due = [
            each
            for each in outdated(self.catalog.con, self.state, self.clock, datasets)
            if chosen in (None, each.name)
        ]
        for each in due if not dry_run else ():
            self.tell(str(each.name))
            self.catalog.repartition(each.name, each.want)
        if due and not dry_run:
            self._publish_again()
        tables = [
            {"table": str(each.name), "partition_by": list(each.want), "files": each.files} for each in due
        ]
        return {"tables": tables, "dry_run": dry_run}

    def drop(self, table: str, *, dry_run: bool) -> Report:
        """Take out a table that no file has rows in any more, as its dataset has another schema or `table` now.

        Raises NotFound, and UsageError if it has rows.
        """
        name = table_named(table, all_tables(self.catalog.con))
        objects = len(self.catalog.ledger.loaded_into(name))
        rows = self.catalog.con.execute(f"SELECT count(*) FROM {name.sql}").fetchall()[0][0]
        if objects or rows or name == publish.OBJECTS:
            raise UsageError(
                f"table {name} has {rows:,} rows of {objects:,} objects",
                hint="`amci lake reprocess --changed` moves rows to where their datasets have them now, and"
                " `amci lake forget` takes out those of single files",
            )
        if not dry_run:
            self.catalog.drop(name)
            self.state.write(
                "DELETE FROM table_shapes WHERE schema_name = ? AND table_name = ?", (name.schema, name.table)
            )
            self._publish_again()
        return {"table": str(name), "dry_run": dry_run}

    def expire(self, age: timedelta, *, dry_run: bool) -> Report:
        """Forget snapshots older than `age`, never the newest; `vacuum` frees their files an hour later."""
        # DuckLake's own `older_than` compares times as text if the metadata is SQLite, and so takes
        # everything of the same day; hence the numbers are chosen here.
        rows = self.catalog.con.execute(
            f"SELECT snapshot_id FROM ducklake_snapshots('{LAKE}') WHERE snapshot_time < ? AND snapshot_id <"
            f" (SELECT max(snapshot_id) FROM ducklake_snapshots('{LAKE}')) ORDER BY snapshot_id",
            [self.clock.now() - age],
        ).fetchall()
        numbers = [number for (number,) in rows]
        if numbers and not dry_run:
            for first in range(0, len(numbers), _CHUNK):
                self.tell(f"{first:,} of {len(numbers):,} snapshots")
                with self.catalog.guard.watching("expire snapshots"):
                    self.catalog.con.execute(
                        f"CALL ducklake_expire_snapshots('{LAKE}', versions => ?)",
                        [numbers[first : first + _CHUNK]],
                    )
                    self.catalog.checksums.forget()
            self._publish_again()
        return {"snapshots": len(numbers), "dry_run": dry_run}

    def vacuum(self, *, dry_run: bool) -> Report:
        """Delete what nothing has needed for the grace time.

        In post-stage: files no snapshot refers to. In pre-stage: files no run may read again. Anywhere: what
        writers that died left unfinished.
        """
        cutoff = self.clock.now() - GRACE
        post_stage = self.workspace.post_stage
        known = known_files(self.catalog.con, post_stage)
        scheduled = scheduled_files(self.catalog.con, post_stage)
        due = [path for path, at in scheduled.items() if at < cutoff and path not in known]
        orphans = [
            path
            for path in _older(files_below(post_stage), cutoff)
            if path not in known and path not in scheduled
        ]
        needed = {file.path for file in staged_files(self.state, self.workspace.pre_stage)}
        staged = [
            path
            for path in _older(files_below(self.workspace.pre_stage), cutoff)
            if path not in needed and not _PART.fullmatch(path.name)
        ]
        parts = [path for path in _older(self._unfinished(), cutoff) if not path.is_relative_to(post_stage)]
        to_delete = [*due, *orphans, *staged, *parts]
        report = {
            "post_stage_files": len(due) + len(orphans),
            "pre_stage_files": len(staged),
            "unfinished_files": len(parts),
            "bytes": sum(path.stat().st_size for path in to_delete if path.exists()),
            "dry_run": dry_run,
        }
        if to_delete and not dry_run:
            self._publish_again()
            self._delete(to_delete)
            self._forget_schedule(due)
        return report

    def _merge(self, name: TableName) -> None:
        """Merge a table's small files; very many of them in groups first."""
        count, typical = self.catalog.con.execute(
            f"SELECT count(*), coalesce(median(data_file_size_bytes), 0)::BIGINT"
            f" FROM ducklake_list_files('{LAKE}', ?, schema => ?)",
            [name.table, name.schema],
        ).fetchall()[0]
        if count > _TOGETHER and typical * _TOGETHER < _FULL:
            self._set_full_size(name, typical * _TOGETHER)
            try:
                self._merge_until_done(name)
            finally:
                self._set_full_size(name, _FULL)
        self._merge_until_done(name)

    def _merge_until_done(self, name: TableName) -> None:
        """Make one full file after another, as long as that makes the files fewer."""
        is_less = True
        while is_less:
            rows = self.catalog.con.execute(
                f"CALL ducklake_merge_adjacent_files('{LAKE}', ?, schema => ?, max_compacted_files => 1)",
                [name.table, name.schema],
            ).fetchall()
            is_less = any(processed > created for *_, processed, created in rows)

    def _set_full_size(self, name: TableName, size: int) -> None:
        self.catalog.con.execute(
            f"CALL {LAKE}.set_option('target_file_size', ?, schema => ?, table_name => ?)",
            [f"{max(size // 1000, 1)}KB", name.schema, name.table],
        )

    def _file_count(self, names: Collection[TableName]) -> int:
        rows = self.catalog.con.execute(
            f"SELECT schema_name, i.table_name, file_count FROM ducklake_table_info('{LAKE}') i"
            f" JOIN {METADATA}.ducklake_schema s USING (schema_id) WHERE s.end_snapshot IS NULL"
        ).fetchall()
        return sum(count for schema, table, count in rows if TableName(schema, table) in names)

    def _publish_again(self) -> None:
        """Publish again, if the lake was published, before files go that the published views name."""
        if self.workspace.published.exists():
            self.publish()

    def _unfinished(self) -> Iterable[Path]:
        places = (self.workspace.raw, self.workspace.pre_stage, self.workspace.quarantine)
        below = [path for place in places for path in files_below(place)]
        return [path for path in (*below, *self.workspace.home.glob(".*.part")) if _PART.fullmatch(path.name)]

    def _delete(self, paths: Sequence[Path]) -> None:
        stages = (self.workspace.pre_stage, self.workspace.post_stage)
        with storage_errors("delete files nothing refers to"):
            for number, path in enumerate(paths):
                self.tell(f"{number + 1:,} of {len(paths):,} files")
                path.unlink(missing_ok=True)
            for folder in {path.parent for path in paths}:
                _prune(folder, stages)

    def _forget_schedule(self, paths: Sequence[Path]) -> None:
        """Tell the catalog that these files are gone; after a crash before this, the next vacuum says it."""
        gone = [str(path.relative_to(self.workspace.post_stage)) for path in paths]
        gone += [str(path) for path in paths]
        with (
            self.catalog.guard.watching("note what was deleted"),
            showing(self.catalog.con, "gone", pa.table({"path": gone})),
        ):
            self.catalog.con.execute(
                f"DELETE FROM {METADATA}.ducklake_files_scheduled_for_deletion"
                " WHERE path IN (SELECT path FROM gone)"
            )


def _older(paths: Iterable[Path], cutoff: datetime) -> list[Path]:
    """Those last modified before `cutoff`; one that vanishes meanwhile is none."""
    found = []
    for path in paths:
        try:
            modified = path.lstat().st_mtime
        except FileNotFoundError:
            continue
        if modified < cutoff.timestamp():
            found.append(path)
    return found


def _prune(folder: Path, stages: Sequence[Path]) -> None:
    """Remove `folder` and those above it inside a stage as long as they are empty."""
    while any(stage in folder.parents for stage in stages):
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent
