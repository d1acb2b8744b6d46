"""From files on disk to runs: compares the roots with what is known and notes every new version once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import astuple, dataclass
from pathlib import Path

from amci.kernel.clock import Clock, new_id, timestamp
from amci.kernel.errors import Unroutable
from amci.kernel.files import storage_errors
from amci.kernel.run import NewRun, Run
from amci.kernel.runs import RunStore
from amci.kernel.state import State
from amci.lake.datasets.router import Route, Router
from amci.lake.landing.content import SMALL, content_hash, probe
from amci.lake.landing.folder_times import FolderTimes
from amci.lake.landing.object_store import Known, Landed, ObjectStore, Quarantined, ReadContent
from amci.lake.landing.roots import Listing, Root, Settling, Stamp, in_batches, nameable, walk
from amci.lake.landing.sidecar import correlation_id

#: Objects noted in one transaction: large enough to be quick, small enough to leave room for others.
_CHUNK = 1000
#: Bytes that one look reads at most, to tell files from others of the same size and mtime.
_AT_ONCE = 64 * 2**20
#: A raw file of more bytes is large; what ends the names of the pool and the batches of large objects.
LARGE_FILE = 64 * 2**20
_LARGE = "+large"


@dataclass(frozen=True, slots=True)
class IngestCounts:
    """What one look at the roots brought."""

    new: int = 0  #: versions noted
    unroutable: int = 0  #: of those, sent to quarantine
    removed: int = 0
    settling: int = 0  #: files that are still changing

    def __add__(self, other: IngestCounts) -> IngestCounts:
        return IngestCounts(*map(sum, zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingest:
    """Notes landed files as object versions, each with the run that will load it."""

    roots: Mapping[str, Root]  #: by name
    router: Router
    state: State
    objects: ObjectStore
    folders: FolderTimes
    runs: RunStore
    clock: Clock
    settling: Settling

    def look(
        self, root_name: str, under: str = "", *, renamed: Collection[str] = (), is_full: bool = False
    ) -> IngestCounts:
        """Compare one root, or one folder of it, with what is known, and note what is new.

        Of the folders below those are listed that have changed since they were last (see `folder_times`); all of them
        if `is_full`, or once a day. `renamed` are keys that are known to have been renamed into place, which need not
        settle. Safe to repeat at any time: what is noted already is passed over.
        """
        root = self.roots[root_name]
        under = nameable(under) or root.key("")
        is_whole = under == root.key("")
        is_full = is_full or (is_whole and self.folders.is_due(root))
        began, known = self.clock.now(), self.folders.known(root, under)
        counts, is_telling = IngestCounts(), True
        with storage_errors(f"look into {root.path}"):
            try:
                for listings in in_batches(self._listings(root, under, known, is_full=is_full)):
                    found, came_unseen = self._take(root, listings, renamed, known)
                    counts += found
                    is_telling = is_telling and not came_unseen
            except FileNotFoundError:
                # The root itself, as an unmounted disk is: it says nothing.
                return counts
        if is_full and is_whole:
            self.folders.noted_all(root, began, known, is_telling=is_telling)
        return counts + IngestCounts(new=self.take_over() if is_whole else 0)

    def _listings(
        self, root: Root, under: str, known: dict[str, Stamp | None], *, is_full: bool
    ) -> Iterator[Listing]:
        if is_full:
            return walk(root, [under])
        changed = {under, *self.folders.changed(root, known)}
        if under == root.key(""):
            changed |= self.folders.with_other_files(root)
        return walk(root, sorted(changed), but=changed | known.keys())

    def _take(
        self, root: Root, listings: list[Listing], renamed: Collection[str], stamps: dict[str, Stamp | None]
    ) -> tuple[IngestCounts, bool]:
        """Compare what lies in some folders with what is known there, and note what is new; and the folders.

        Also whether files came or went in a folder whose stamp is as it was. Takes the folders out of `stamps`.
        """
        known = self.objects.known(root.name, [gap for listing in listings for gap in listing.gaps()])
        landed: list[Landed] = []
        doubtful: list[tuple[Landed, Known]] = []
        back: list[int] = []
        unsettled: list[str] = []
        unseen = False
        now = self.clock.now()
        for listing in listings:
            is_same = listing.stamp is not None and stamps.pop(listing.key, None) == listing.stamp
            for file in listing.files:
                have = known.pop(file.key, None)
                if have and (have.size, have.mtime_ns) == (file.size, file.mtime_ns):
                    # The numbers of a network mount's files may be others at each look.
                    if not have.may_be(file, trusts_inodes=root.watch == "events"):
                        doubtful.append((file, have))
                    elif have.is_removed:
                        back.append(have.object_id)
                    self.settling.forget(file)
                elif file.key in renamed or self.settling.has_landed(
                    file, now, trusts_mtime=root.watch != "polling"
                ):
                    unseen = unseen or (is_same and (have is None or have.is_removed))
                    landed.append(file)
                else:
                    unsettled.append(listing.key)
        gone = self._gone(root, known)
        noted = self._compare(root, doubtful, back, unsettled)
        if back:
            self.objects.returned(back)
        if gone:
            self.objects.removed(gone)
        for i in range(0, len(landed), _CHUNK):
            noted += self._note(landed[i : i + _CHUNK])
        self.folders.note(root, listings, set(unsettled))
        return noted + IngestCounts(removed=len(gone), settling=len(unsettled)), unseen

    def take_over(self, holders: Collection[int] | None = None) -> int:
        """Have duplicates read again whose holder's rows do not count any more; how many.

        Of these objects, or of all.
        """
        runs, released = [], []
        with self.state.transaction():
            for row in self.objects.duplicates.orphans(self.router.appended, holders):
                try:
                    route = self.router.route(row["key"])
                except Unroutable:
                    continue
                where = row["root"], row["key"], row["object_id"], row["version"]
                again = f"~{timestamp(self.clock.now())}"
                runs.append(light_run(*where, route, size=row["size"], again=again))
                released.append((row["object_id"], row["version"]))
            self.objects.duplicates.release(released)
            self.runs.create(runs)
        return len(runs)

    def arrived(self, root_name: str, *keys: str) -> IngestCounts:
        """Note files that are known to have been renamed into place, but for those that are noted already."""
        root = self.roots[root_name]
        landed = []
        for key in keys:
            with storage_errors(f"look at {key}"), suppress(FileNotFoundError):
                landed.append(Landed.of(root_name, key, root.path_of(key).stat()))
        return self._note(landed) if landed else IngestCounts()

    def replaced(self, root_name: str, key: str, object_id: int, version: int) -> IngestCounts:
        """Note a file whose content is not that of this version, although its size and mtime are."""
        with self.state.transaction():
            self.objects.mark_unseen(object_id, version)
            return self.arrived(root_name, key)

    def _compare(
        self,
        root: Root,
        doubtful: Iterable[tuple[Landed, Known]],
        back: list[int],
        unsettled: list[str],
    ) -> IngestCounts:
        """Note those files as new versions whose size and mtime are as noted, and whose content is not.

        Adds to `back` the objects whose file is back, to `unsettled` the folders of what cannot be read. What takes
        longer to tell is left to `ContentCheck`, as suspects.
        """
        left = _AT_ONCE
        replaced: list[tuple[Landed, Known]] = []
        seen: list[tuple[int, Landed, bool]] = []
        for file, have in doubtful:
            is_other: bool | None = False
            if have.ctime_ns is not None:  # else an older amci noted it, which did not look
                known = self.objects.content(have.object_id, have.version)
                left -= file.size if file.size <= SMALL and known.sha256 else 0
                try:
                    is_other = _is_other(root.path_of(file.key), file, known, may_read=left >= 0)
                except OSError:
                    unsettled.append(file.key.rpartition("/")[0])
                    continue  # looked at again the next time
            if is_other:
                replaced.append((file, have))
                continue
            seen.append((have.object_id, file, is_other is None))
            if have.is_removed:
                back.append(have.object_id)
        if seen:
            self.objects.seen(seen)
        noted = IngestCounts()
        for i in range(0, len(replaced), _CHUNK):
            with self.state.transaction():
                for _, have in replaced[i : i + _CHUNK]:
                    self.objects.mark_unseen(have.object_id, have.version)
                noted += self._note(file for file, _ in replaced[i : i + _CHUNK])
        return noted

    def look_everywhere(self, *, is_full: bool = False) -> IngestCounts:
        """Compare every root with what is known, in each file if `is_full`; see `look`."""
        return sum((self.look(name, is_full=is_full) for name in self.roots), IngestCounts())

    def route_again(self) -> int:
        """Route what no dataset took before, after the configuration changed; returns how many found a place."""
        routed = 0
        with self.state.transaction():
            for row in self.objects.unrouted():
                try:
                    route = self.router.route(row["key"])
                except Unroutable:
                    continue
                self.objects.set_route(row["object_id"], route.dataset.dataset, route.tenant_id)
                self.objects.resolve_routed(row["object_id"])
                routed += self.runs.create(
                    [
                        light_run(
                            *(row["root"], row["key"], row["object_id"], row["version"], route),
                            size=row["size"],
                        )
                    ]
                )
        return routed

    def _gone(self, root: Root, unseen: Mapping[str, Known]) -> list[int]:
        """Objects whose file is gone; none while the root itself is missing, as an unmounted disk is."""
        if not root.path.is_dir():
            return []
        return [k.object_id for k in unseen.values() if not k.is_removed]

    def _route(self, file: Landed) -> Route | Unroutable:
        """Where a file belongs, or why it belongs nowhere."""
        if file.has_odd_name:
            return Unroutable(
                "the name has control characters or is not UTF-8",
                hint="rename the file; it is taken again then",
            )
        try:
            return self.router.route(file.key)
        except Unroutable as error:
            return error

    def _note(self, files: Iterable[Landed]) -> IngestCounts:
        unroutable: list[Quarantined] = []
        runs: list[NewRun] = []
        with self.state.transaction():
            # A look and the arrival of a result may come upon a file at the same time.
            routed = [(file, self._route(file)) for file in self.objects.unseen(files)]
            versions = self.objects.record(
                [
                    (file, None, None)
                    if isinstance(route, Unroutable)
                    else (file, route.dataset.dataset, route.tenant_id)
                    for file, route in routed
                ]
            )
            for (file, route), (object_id, version) in zip(routed, versions, strict=True):
                if isinstance(route, Unroutable):
                    unroutable.append(
                        Quarantined.of(
                            route, object_id=object_id, version=version, stage="route", run_id=None
                        )
                    )
                    continue
                came_with = correlation_id(self.roots[file.root].path_of(file.key))
                runs.append(
                    light_run(
                        *(file.root, file.key, object_id, version, route),
                        size=file.size,
                        correlation_id=came_with,
                    )
                )
            self.objects.quarantine(unroutable)
            self.runs.create(runs)
        return IngestCounts(new=len(unroutable) + len(runs), unroutable=len(unroutable))


def _is_other(path: Path, file: Landed, known: ReadContent, *, may_read: bool) -> bool | None:
    """Whether a file has another content than was read; None if that takes long to tell. Raises OSError."""
    if file.size > SMALL:
        if known.probe is not None and probe(path) != known.probe:
            return True
        if known.probe is not None or known.sha256 is not None:
            return None if known.sha256 is not None else False
    elif known.sha256 is not None:
        return content_hash(path) != known.sha256 if may_read else None
    # It was not read: what failed, perhaps for a right that was missing, may succeed now.
    return known.has_failed


@dataclass(frozen=True, slots=True)
class Lane:
    """Where runs of one kind wait: which pool's slots they take, and what they share a batch with."""

    pool: str
    batch_key: str

    @classmethod
    def of(cls, kind: str, dataset: str, *, is_large: bool) -> Lane:
        """Large objects go one at a time and one to a batch, so that a thread is left for everybody's small ones."""
        return cls(large_pool(kind), f"{dataset}{_LARGE}") if is_large else cls("", dataset)

    @classmethod
    def after(cls, kind: str, earlier: Run, *, is_large: bool) -> Lane:
        """The same for a run that follows another of the same object."""
        return cls.of(kind, earlier.batch_key.removesuffix(_LARGE), is_large=is_large)


def large_pool(kind: str) -> str:
    """The pool with one slot of runs of this kind, `light` or `heavy`, for large objects."""
    return f"{kind}{_LARGE}"


def light_run(
    root: str,
    key: str,
    object_id: int,
    version: int,
    route: Route,
    *,
    size: int,
    again: str = "",
    correlation_id: str = "",
) -> NewRun:
    """The run that reads one version of an object, of `size` bytes; `again` sets a repeated one apart from the first.

    `correlation_id` is that of the run that brought the object here; without one, a new one begins.
    """
    lane = Lane.of("light", route.dataset.dataset, is_large=size > LARGE_FILE)
    return NewRun(
        idempotency_key=f"light:{root}/{key}@{version}{again}",
        kind="light",
        tenant_id=route.tenant_id,
        lock_key=f"object:{object_id}",
        pool=lane.pool,
        batch_key=lane.batch_key,
        correlation_id=correlation_id or new_id(),
        payload={"object_id": object_id, "version": version, "again": again},
    )


def object_version(run: Run) -> tuple[int, int]:
    """The id and version of the object that a light or heavy run is about."""
    return run.payload["object_id"], run.payload["version"]
