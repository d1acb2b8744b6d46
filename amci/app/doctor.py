"""What is wrong with an installation or a workspace, and what to do about it; it reports, and never fails."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from importlib import metadata
from pathlib import Path
from typing import Literal

from amci.app.project import Project, load
from amci.kernel import waits
from amci.kernel.clock import Clock, timestamp
from amci.kernel.config import Settings, read_settings
from amci.kernel.errors import AmciError, ConfigError, NotFound
from amci.kernel.files import storage_error, text_of
from amci.kernel.run import RunStatus
from amci.kernel.runs import RunStore
from amci.kernel.state import State
from amci.kernel.workspace import WorkspacePaths
from amci.lake.catalog import duck
from amci.lake.catalog.checksums import lake_files
from amci.lake.catalog.pairing import HINT, lost_catalog, mismatch, unknown_lake
from amci.lake.landing.object_store import ObjectStore
from amci.lake.landing.roots import Listing, Root, in_batches, links_passed_over, walk
from amci.lake.query.session import session
from amci.lake.query.unknown_columns import unknown_columns
from amci.lake.upkeep.check import (
    NEEDED_BEFORE,
    NEEDED_NOW,
    damages,
    missing_since_repair,
    staged_damages,
    what_keeps_it_closed,
)
from amci.tenants.registry import read_tenants
from amci.workflows.executions.store import ExecutionStore
from amci.workflows.provisioning.provision import status_of

#: What in a workspace is not for everybody: rows, requests, and code that runs.
_PLACES = ("state", "stage", "raw", "quarantine", "logs", "config", "amci.yaml", "catalog.duckdb")
Severity = Literal["error", "warning", "info"]

_WORK_WAITS = 3  #: an exit code, as of commands that do runs of which some fail
_PYTHON = (3, 11)
_NAMED = 5  #: so many tenants are named
_LEAST_FREE = 1024**3
#: Memory for a connection that only tries whether the extensions load, bytes.
_LITTLE = 64 * 1024**2
#: A file that has not stood still for this long is worth a word.
_LONG_SETTLING = timedelta(minutes=5)
#: Clocks of two machines may differ by this much without anything being wrong.
_SKEW = timedelta(minutes=1)
_EXTENSIONS = ("duckdb-extension-ducklake", "duckdb-extension-sqlite-scanner")
_WATCHES = Path("/proc/sys/fs/inotify/max_user_watches")


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Something that is wrong or worth knowing."""

    severity: Severity
    what: str
    do: str
    is_work: bool = (
        False  #: of single runs, files or tenants, which wait for somebody; amci itself is in order
    )

    def as_row(self) -> dict[str, str]:
        """As shown by `amci doctor`."""
        return {"severity": self.severity, "what": self.what, "do": self.do}


Diagnoses = Iterator[Diagnosis]


def exit_code(diagnoses: Iterable[Diagnosis]) -> int:
    """What `amci doctor` ends with: 1 if there are errors, else 3 if work waits for somebody, else 0."""
    listed = list(diagnoses)
    if any(each.severity == "error" for each in listed):
        return AmciError.exit_code
    return _WORK_WAITS if any(each.is_work for each in listed) else 0


def examine(workspace: WorkspacePaths, clock: Clock, environ: Mapping[str, str]) -> list[Diagnosis]:
    """Everything that can be found wrong, worst first; on a broken or empty workspace too."""
    settings = _settings(workspace, environ)
    checks: list[Callable[[], Diagnoses]] = [
        _python,
        _packages,
        lambda: _configuration(workspace, environ),
        lambda: _disk(workspace),
        lambda: _modes(workspace),
        lambda: _state(workspace),
        lambda: _catalog(workspace, settings),
        lambda: _pre_stage(workspace),
        lambda: _work(workspace, clock),
        lambda: _clock(workspace, clock),
        lambda: _tenants(workspace, clock),
        lambda: _roots(workspace, settings, clock),
    ]
    found = [finding for check in checks for finding in _safely(check)]
    order = ("error", "warning", "info")
    return sorted(found, key=lambda finding: order.index(finding.severity))


def _safely(check: Callable[[], Diagnoses]) -> list[Diagnosis]:
    """A check's findings; what keeps it from looking is a finding itself."""
    found: list[Diagnosis] = []
    try:
        found.extend(check())
    except AmciError as error:
        found.append(Diagnosis("error", str(error), error.hint or "fix that, then ask again"))
    except OSError as error:
        said = storage_error(error, "look into the workspace")
        found.append(Diagnosis("error", str(said), said.hint))
    return found


def _settings(workspace: WorkspacePaths, environ: Mapping[str, str]) -> Settings:
    try:
        return read_settings(workspace.settings_file, environ)
    except ConfigError:
        # `_configuration` reports it; the other checks go on with what holds by default.
        return Settings()


def _python() -> Diagnoses:
    have = sys.version_info[:2]
    if have < _PYTHON:
        wanted = ".".join(map(str, _PYTHON))
        yield Diagnosis(
            "error", f"Python {have[0]}.{have[1]} is too old", f"install Python {wanted} or newer"
        )


def _packages() -> Diagnoses:
    versions: dict[str, str | None] = {}
    for name in ("duckdb", *_EXTENSIONS):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    duckdb = versions["duckdb"]
    for name in _EXTENSIONS:
        if versions[name] is None:
            yield Diagnosis(
                "warning",
                f"package {name} is missing, so DuckDB has to download the extension",
                f"install {name}=={duckdb}",
            )
        elif versions[name] != duckdb:
            yield Diagnosis(
                "error",
                f"package {name} is {versions[name]}, duckdb is {duckdb}: the two have to be equal",
                f"install {name}=={duckdb}",
            )
    # Raises if an extension does not load, which is then the finding.
    duck.connect(memory_limit=_LITTLE, threads=1).close()


def _configuration(workspace: WorkspacePaths, environ: Mapping[str, str]) -> Diagnoses:
    try:
        project = load(workspace, environ)
    except ConfigError as error:
        for problem in error.problems:
            yield Diagnosis("error", str(problem), "fix this file; nothing runs before that")
        return
    # A lake that is empty has nothing to say, and other checks tell of one that cannot be asked.
    with suppress(AmciError):
        yield from _unknown_columns(workspace, project)


def _unknown_columns(workspace: WorkspacePaths, project: Project) -> Diagnoses:
    """Columns that definitions name and no table has."""
    own = [
        (source, dataset)
        for name, dataset in project.datasets.items()
        if not (source := project.dataset_sources[name]).comes_with_amci
        and (dataset.types or dataset.pii or dataset.skip_if_all)
    ]
    if not own:
        return
    limit, timeout = project.settings.query_memory_limit, project.settings.query_timeout
    with session(workspace, memory_limit=limit, timeout=timeout) as lake:
        for source, dataset in own:
            for unknown in unknown_columns(lake, dataset, workspace.pre_stage, but=source.built_in):
                do = "correct the name, or leave it if files with that column are still to come"
                yield Diagnosis("warning", f"{source.file}: {unknown.says}", do)


def _disk(workspace: WorkspacePaths) -> Diagnoses:
    places = (workspace.home, workspace.state.parent, workspace.pre_stage, workspace.post_stage)
    for place in places:
        if place.exists() and not os.access(place, os.W_OK | os.X_OK):
            shown = workspace.relative(place)
            yield Diagnosis("error", f"{shown} is not writable", "give this user write permission there")
    free = shutil.disk_usage(workspace.home).free
    if free < _LEAST_FREE:
        said = f"only {free // 1024**2:,} MiB are free on the disk of the workspace"
        yield Diagnosis(
            "warning", said, "free some space; `amci lake expire` and `amci lake vacuum` may help"
        )


def _modes(workspace: WorkspacePaths) -> Diagnoses:
    """Files that other users of this machine may read or change; those of a directory they cannot enter are none."""
    for secret in (workspace.credentials, workspace.key_file):
        if secret.exists() and (mode := secret.stat().st_mode & 0o777) & 0o077:
            shown = workspace.relative(secret)
            yield Diagnosis(
                "error",
                f"{shown} can be read by others (mode {mode:04o})",
                f"`chmod 600 {secret}`; if others may have read it, `amci auth rotate` after that",
            )
    home = workspace.home.resolve()
    if not all(folder.stat().st_mode & stat.S_IXOTH for folder in (home, *home.parents)):
        return
    places = [place for place in _PLACES if (home / place).exists()]
    modes = {place: (home / place).stat().st_mode for place in places}
    if changed := [place for place, mode in modes.items() if mode & stat.S_IWOTH]:
        yield Diagnosis(
            "error",
            f"every user of this machine may change {', '.join(changed)}",
            f"`chmod -R o-w {home}`; check what has been changed",
        )
    if read := [place for place, mode in modes.items() if mode & stat.S_IROTH]:
        yield Diagnosis(
            "warning",
            f"every user of this machine may read {', '.join(read)}",
            f"`chmod 700 {home}`, if they are not meant to",
        )


def _state(workspace: WorkspacePaths) -> Diagnoses:
    if not workspace.state.exists():
        yield Diagnosis("info", "nothing has run here yet", "put files into raw/, then run `amci drain`")
        return
    if not workspace.state.is_file():
        yield Diagnosis("error", "state/amci.db is not a file", "restore it from a backup")
        return
    restore = "restore state/amci.db from a backup; nothing was changed"
    try:
        uri = f"{workspace.state.resolve().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=10)) as db:
            answers = [row[0] for row in db.execute("PRAGMA quick_check(3)")]
    except sqlite3.Error as error:
        yield Diagnosis("error", f"the state file cannot be read: {error}", restore)
        return
    if answers != ["ok"]:
        yield Diagnosis("error", f"the state file is damaged: {answers[0]}", restore)


def _catalog(workspace: WorkspacePaths, settings: Settings) -> Diagnoses:
    if not workspace.catalog.exists() or not workspace.catalog.stat().st_size:
        if any(workspace.post_stage.rglob("*.parquet")):
            yield Diagnosis(
                "error",
                "post-stage has files, but there is no catalog",
                HINT,
            )
        yield from _pair(workspace, settings)
        return
    if reason := what_keeps_it_closed(workspace, memory_limit=settings.query_memory_limit):
        yield Diagnosis(
            "error",
            f"the catalog cannot be opened: {reason}",
            "check the packages of duckdb and its extensions, or restore state/catalog.db from a backup",
        )
        return
    yield from _pair(workspace, settings)
    with suppress(NotFound):  # nothing is in it yet
        yield from _lake_files(workspace, settings)


def _lake_files(workspace: WorkspacePaths, settings: Settings) -> Diagnoses:
    """Files of the lake, by size and footer: `amci lake check --deep` reads all of them."""
    limit, timeout = settings.query_memory_limit, settings.query_timeout
    with session(workspace, memory_limit=limit, timeout=timeout) as lake:
        files = lake_files(lake.con, workspace.post_stage)
        # A commit or an expiry may have come meanwhile.
        wrong = {damage.file.file_id for damage in damages(files, deep=False)}
        again = lake_files(lake.con, workspace.post_stage) if wrong else []
        for row in missing_since_repair(lake):
            yield Diagnosis("error", f"table {row['file']}: {row['says'].partition('; `')[0]}", NEEDED_NOW)
    found = damages([file for file in again if file.file_id in wrong], deep=False)
    if len(found) == len(files) and found and not any(workspace.post_stage.rglob("*.parquet")):
        yield Diagnosis(
            "error",
            f"post-stage is lost: the catalog knows {len(files):,} files, and there are none",
            f"mount its disk or restore it from a backup; else {NEEDED_NOW}",
        )
        return
    for remedy in dict.fromkeys(damage.remedy for damage in found):
        damaged = [damage for damage in found if damage.remedy == remedy]
        counts = Counter(damage.problem for damage in damaged)
        listed = ", ".join(f"{number:,} {problem}" for problem, number in counts.items())
        first = workspace.relative(damaged[0].file.path)
        yield Diagnosis(
            "warning" if remedy == NEEDED_BEFORE else "error",
            f"files of the lake: {listed}; the first is {first}",
            remedy,
        )


def _pre_stage(workspace: WorkspacePaths) -> Diagnoses:
    """Whether what runs may read again is there; `amci lake check --deep` reads it."""
    if not workspace.state.exists():
        return
    with suppress(AmciError), _opened(workspace) as state:
        lost = staged_damages(state, workspace.pre_stage, deep=False)
        if lost:
            yield Diagnosis(
                "error",
                f"{len(lost):,} files of pre-stage are missing; the first is {workspace.relative(lost[0].file.path)}",
                "restore them from a backup, or `amci lake check --repair`, which reads the raw files again",
            )


def _pair(workspace: WorkspacePaths, settings: Settings) -> Diagnoses:
    """Whether state and catalog belong together; a state that cannot be opened is told of by other checks."""
    if not workspace.state.exists():
        return
    limit, timeout = settings.query_memory_limit, settings.query_timeout
    says = ""
    with suppress(AmciError), _opened(workspace) as state:
        says = lost_catalog(state, workspace.catalog)
        if workspace.catalog.exists() and not says:
            try:
                with session(workspace, memory_limit=limit, timeout=timeout) as lake:
                    says = mismatch(state, lake.con)
            except NotFound:
                says = unknown_lake(state, workspace.catalog)
    if says:
        yield Diagnosis("error", says, HINT)


def _work(workspace: WorkspacePaths, clock: Clock) -> Diagnoses:
    """Runs and objects that wait for somebody."""
    if not workspace.state.exists():
        return
    writer = workspace.writer()
    with _opened(workspace) as state:
        counts: dict[str, int] = {}
        for by_status in RunStore(state, clock).counts().values():
            for status, number in by_status.items():
                counts[status] = counts.get(status, 0) + number
        objects = ObjectStore(state, clock).counts()
        now = timestamp(clock.now())
        stalled = state.read(
            "SELECT count(*) AS n FROM runs WHERE status = 'RUNNING' AND lease_until < ?", (now,)
        )
    if writer is None and (stuck := counts.get(RunStatus.RUNNING, 0)):
        said = f"{stuck} runs were under way when their process ended"
        yield Diagnosis("warning", said, "run `amci drain`: it takes them up again")
    elif writer and (late := stalled[0]["n"]):
        said = f"{late} runs stand still: their lease has run out, and process {writer} does not take them up"
        yield Diagnosis("error", said, "if that stays so, end that process and run `amci drain`")
    if failed := counts.get(RunStatus.FAILED, 0):
        said = f"{failed} runs failed"
        do = "see `amci runs list --status failed`, then `amci redrive --failed`"
        yield Diagnosis("warning", said, do, is_work=True)
    if objects["quarantined"]:
        said = f"{objects['quarantined']} objects are in quarantine"
        do = "see `amci lake quarantine`: it says why, and what to do"
        yield Diagnosis("warning", said, do, is_work=True)
    if objects["doubtful"]:
        said = f"{objects['doubtful']} objects are doubtful"
        yield Diagnosis(
            "warning", said, "see `amci lake doubts`: it says why, and takes what is right after all"
        )


def _clock(workspace: WorkspacePaths, clock: Clock) -> Diagnoses:
    """Waits that a clock left in the future, and executions that AMC made late."""
    if not workspace.state.exists():
        return
    # A state that cannot be opened is told of by other checks.
    with suppress(AmciError), _opened(workspace) as state:
        ahead, step = waits.ahead(state, clock.now()), waits.newest_step(state)
        twice, alive = (ExecutionStore(state, clock).twice(alive=alive) for alive in (False, True))
        if ahead:
            said = f"{ahead} waits began in the future: the clock of this machine was ahead, or is behind now"
            do = "see that the clock is right; `amci up` and `amci drain` correct them"
            yield Diagnosis("warning", said, do)
        if twice:
            said = f"AMC carried out {twice} requests of amci's a second time, late; {alive} of those still run there"
            do = "see `amci runs show` for their runs; `amci exec reconcile` looks again"
            yield Diagnosis("warning" if alive else "info", said, do)
        if step:
            said = f"the clock was set back: {waits.told(step)}, and were corrected"
            do = "keep the clock right, as with NTP; see `amci runs list` for what ran early"
            yield Diagnosis("info", said, do)


def _tenants(workspace: WorkspacePaths, clock: Clock) -> Diagnoses:
    """Tenants whose newest check failed; a configuration or state that cannot be used is told of by other checks."""
    if not workspace.state.exists():
        return
    with suppress(AmciError), _opened(workspace) as state:
        runs, tenants = RunStore(state, clock), read_tenants(workspace.config, [])
        failed = sorted(name for name in tenants if status_of(runs, name) == "FAILED")
        if failed:
            more = f" and {len(failed) - _NAMED} more" if len(failed) > _NAMED else ""
            said = f"the check of {len(failed)} tenants failed: {', '.join(failed[:_NAMED])}{more}"
            do = f"see `amci tenant show {failed[0]}`; then `amci tenant check {failed[0]}`"
            yield Diagnosis("warning", said, do, is_work=True)


def _opened(workspace: WorkspacePaths) -> State:
    return State.read_only(workspace.state)


def _roots(workspace: WorkspacePaths, settings: Settings, clock: Clock) -> Diagnoses:
    folders = 0
    for setting in settings.roots:
        root = Root(setting.name, workspace.home / setting.path, setting.watch)
        if not root.path.is_dir():
            yield Diagnosis(
                "error",
                f"root '{root.name}' is missing: {workspace.relative(root.path)}",
                "make the directory, mount its disk, or take the root out of amci.yaml",
            )
            continue
        if root.watch == "events":
            folders += 1 + sum(len(names) for _, names, _ in os.walk(root.path))
        yield from _files(workspace, root, clock)
        if links := sorted(links_passed_over(root)):
            first = workspace.relative(links[0])
            yield Diagnosis(
                "warning",
                f"{len(links)} symbolic links of root '{root.name}' are not followed; the first is {first}",
                "put the files there, or make the folder a root of its own in amci.yaml",
            )
    yield from _watches(folders)


def _files(workspace: WorkspacePaths, root: Root, clock: Clock) -> Diagnoses:
    now = clock.now().timestamp()
    ahead = waiting = 0
    with _objects(workspace, clock) as objects:
        for listings in in_batches(walk(root, [root.key("")])):
            known = _known(objects, root, listings)
            for file in (file for listing in listings for file in listing.files):
                age = now - file.mtime_ns / 1e9
                if age < -_SKEW.total_seconds():
                    ahead += 1
                elif known is not None and age > _LONG_SETTLING.total_seconds():
                    waiting += known.get(file.key) != (file.size, file.mtime_ns)
    if ahead:
        yield Diagnosis(
            "warning",
            f"{ahead} files of root '{root.name}' were modified in the future",
            "set the clock of this machine, or of the one that wrote them",
        )
    if waiting:
        said = f"{waiting} files of root '{root.name}' are older than {_LONG_SETTLING.seconds // 60} minutes"
        yield Diagnosis("info", f"{said} and not taken yet", "run `amci drain`, or keep `amci up` running")


@contextmanager
def _objects(workspace: WorkspacePaths, clock: Clock) -> Iterator[ObjectStore | None]:
    """What is recorded; None if the state cannot tell, as `_state` reports."""
    with ExitStack() as opened:
        state = None
        if workspace.state.exists():
            with suppress(AmciError):
                state = opened.enter_context(_opened(workspace))
        yield ObjectStore(state, clock) if state else None


def _known(
    objects: ObjectStore | None, root: Root, listings: Iterable[Listing]
) -> dict[str, tuple[int, int]] | None:
    """Size and mtime of what is recorded in some folders, by key; None if the state cannot tell."""
    if objects is None:
        return None
    try:
        known = objects.known(root.name, [gap for listing in listings for gap in listing.gaps()])
    except AmciError:
        return None
    return {key: (entry.size, entry.mtime_ns) for key, entry in known.items()}


def _watches(folders: int, limits: Path = _WATCHES) -> Diagnoses:
    """Whether the kernel lets this user watch so many folders; other systems have no such limit."""
    if not limits.exists():
        return
    most = int(text_of(limits))
    if folders > most:
        yield Diagnosis(
            "warning",
            f"{folders:,} folders are to be watched, and the kernel allows {most:,} watches",
            "raise fs.inotify.max_user_watches (sysctl); until then the scans find what events miss",
        )
