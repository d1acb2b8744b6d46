"""Finding transforms: in config/transforms/, then installed packages, then amci's own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from tempfile import TemporaryFile
from types import ModuleType
from typing import Any

from amci.kernel import plugin_probe
from amci.kernel.child_process import start
from amci.kernel.clock import stopwatch
from amci.kernel.errors import Problem, collected
from amci.kernel.files import entries, json_of, text_of
from amci.kernel.plugin_probe import execute, hashed, source_of, takes_rows

GROUP = "amci.transforms"
#: Seconds that a source may take to be loaded, without computing much.
_PATIENCE = 20.0
_LOOK = 0.02  #: seconds between two looks at the process
#: By what a source may ask where it lies.
_PLACE = re.compile(r"__file__|__spec__|inspect")
#: What was found in sources, so that a workspace that is read again does not load them again.
_looked_at: dict[tuple[str, str], Mapping[str, Any]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Transform:
    """A function or a SELECT that changes, places or refuses what arrived."""

    name: str
    origin: str  #: file relative to config/, `package:function`, or `built in`
    source_hash: str  #: SHA-256 of its source, 16 hex digits
    source: str = ""  #: the text of its module or statement; empty for those built in
    #: Gives the function; runs its module's code the first time, and raises whatever that raises.
    load: Callable[[], Callable[..., Any]] | None = None
    sql: str | None = None
    takes_rows: bool = True  #: one that only wants the object is asked before the file is read


def find(
    folder: Path,
    built_in: Sequence[Callable[..., Any]],
    problems: list[Problem],
    stop: threading.Event | None = None,
) -> dict[str, Transform]:
    """All transforms by name; what cannot be loaded is added to `problems`.

    A name in `folder` hides the same name in a package, which hides amci's own. Their code runs in another process,
    within limits of time and memory, and in this one when one of them is called. `stop` ends the looking.
    """
    given: list[Transform | _File | _Package] = [_Package(point) for point in _points(_installed())]
    with collected(problems):
        for path in entries(folder, f"config/{folder.name}"):
            shown = f"config/{folder.name}/{path.name}"
            with collected(problems):
                if path.suffix == ".sql":
                    given.append(_of_sql(path, text_of(path, shown)))
                elif path.suffix == ".py" and not path.name.startswith("_"):
                    given.append(_File(path, shown, text_of(path, shown)))
    answers = _looks([one for one in given if not isinstance(one, Transform)], stop)
    found = {f.__name__: _built_in(f) for f in built_in}
    for one in given:
        if isinstance(one, Transform):
            found[one.name] = one
        elif "functions" in (answer := next(answers)):
            found |= one.transforms(answer)
        else:
            problems.append(Problem(one.shown, "", f"cannot be loaded: {answer['says']}"))
    return found


def _installed() -> tuple[tuple[str, int], ...]:
    """The folders that packages are in, with the time of the last installation in each."""
    found = []
    for folder in sys.path:
        with suppress(OSError):
            found.append((folder, Path(folder or ".").stat().st_mtime_ns))
    return tuple(found)


@lru_cache(maxsize=1)
def _points(_installed: tuple[tuple[str, int], ...]) -> tuple[EntryPoint, ...]:
    """The entry points of packages; a file of each installed package is read for it."""
    return tuple(entry_points(group=GROUP))


class _File:
    """A file of config/transforms/; its code runs when the first of its transforms is called."""

    def __init__(self, path: Path, shown: str, text: str) -> None:
        self.shown = shown
        self._path = path
        self._text = text
        self._module: ModuleType | None = None
        self._lock = threading.Lock()

    def request(self) -> dict[str, str]:
        """What the looking process has to know."""
        return {"path": str(self._path), "text": self._text}

    def transforms(self, answer: Mapping[str, Any]) -> dict[str, Transform]:
        """Its transforms, by what was seen in it."""
        return {
            name: Transform(
                name=name,
                origin=f"transforms/{self._path.name}",
                source_hash=hashed(self._text),
                source=self._text,
                load=partial(self._function, name),
                takes_rows=takes,
            )
            for name, takes in answer["functions"].items()
        }

    def _function(self, name: str) -> Callable[..., Any]:
        with self._lock:
            self._module = self._module or execute(self._path, self._text)
        function: Callable[..., Any] = vars(self._module)[name]
        return function


class _Package:
    """A transform of an installed package."""

    def __init__(self, point: EntryPoint) -> None:
        self.shown = f"package {point.value}"
        self._point = point

    def request(self) -> dict[str, str]:
        """What the looking process has to know."""
        return {"name": self._point.name, "value": self._point.value, "group": GROUP}

    def transforms(self, answer: Mapping[str, Any]) -> dict[str, Transform]:
        """Its one transform, by what was seen in it."""
        (takes,) = answer["functions"].values()
        return {
            self._point.name: Transform(
                name=self._point.name,
                origin=self._point.value,
                source_hash=answer["source_hash"],
                source=answer.get("source", ""),
                load=self._point.load,
                takes_rows=takes,
            )
        }


def _built_in(function: Callable[..., Any]) -> Transform:
    return Transform(
        name=function.__name__,
        origin="built in",
        source_hash=hashed(source_of(function)),
        load=lambda: function,
        takes_rows=takes_rows(function),
    )


def _of_sql(path: Path, text: str) -> Transform:
    origin = f"transforms/{path.name}"
    return Transform(name=path.stem, origin=origin, source_hash=hashed(text), source=text, sql=text)


def _looks(sources: Sequence[_File | _Package], stop: threading.Event | None) -> Iterator[Mapping[str, Any]]:
    """What is in each source (`functions`), or what is wrong with it (`says`)."""
    requests = [source.request() for source in sources]
    keys = [_key(request) for request in requests]
    new = [n for n, key in enumerate(keys) if key not in _looked_at]
    answers: dict[int, Mapping[str, Any]] = {}
    while new:
        given = _look([requests[n] for n in new], stop)
        answers |= zip(new, given, strict=False)
        # One that cannot be loaded is the last that has an answer: the rest are looked at in another process.
        new = new[len(given) :]
    for number, key in enumerate(keys):
        answer = answers.get(number) or _looked_at[key]
        if "functions" in answer:
            _looked_at[key] = answer
        yield answer


def _key(request: Mapping[str, str]) -> tuple[str, str]:
    """What an answer depends on: the source, and its name; where it lies only if it asks."""
    if "text" not in request:
        return request["value"], ""
    path, text = request["path"], request["text"]
    return path if _PLACE.search(text) else Path(path).name, text


def _look(requests: Sequence[Mapping[str, str]], stop: threading.Event | None) -> list[Mapping[str, Any]]:
    """Answers to the first of these requests, at least to one: up to one that cannot be loaded."""
    # Files, as a pipe would also be kept open by what a transform starts.
    with TemporaryFile() as request, TemporaryFile() as report:
        request.write(json.dumps(requests).encode())
        request.seek(0)
        process = start(plugin_probe.__name__, stdin=request, stdout=report)
        try:
            says = _waited(process, report.fileno(), stop)
        finally:
            # With all that it started, which is in its group.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        answers = list(_answers(os.pread(report.fileno(), 1 << 24, 0)))
    if len(answers) < len(requests) and (not answers or "functions" in answers[-1]):
        answers.append({"says": says or "it ended the process that looked at it"})
    return answers


def _waited(process: subprocess.Popen[bytes], report: int, stop: threading.Event | None) -> str:
    """Wait for the end of the process; why it is given up, or how it ended."""
    since, size = stopwatch(), 0
    while True:
        with suppress(subprocess.TimeoutExpired):
            code = process.wait(_LOOK)
            break
        if stop is not None and stop.is_set():
            return "it was not looked at, as amci was told to stop"
        if (now := os.fstat(report).st_size) != size:
            size, since = now, stopwatch()
        if stopwatch() - since > _PATIENCE:
            return f"it does not end within {_PATIENCE:.0f} s"
    if code == -signal.SIGXCPU:
        return f"it computes for more than {plugin_probe.CPU_SECONDS} s"
    return f"it ended its process with {f'signal {-code}' if code < 0 else f'exit code {code}'}"


def _answers(report: bytes) -> Iterator[Mapping[str, Any]]:
    """The whole answers of a report, up to the first that is none."""
    for line in report.split(b"\n")[1:]:
        try:
            answer = json_of(line)
        except ValueError:
            return
        functions = answer.get("functions") if isinstance(answer, dict) else None
        is_whole = isinstance(functions, dict) and all(
            isinstance(takes, bool) for takes in functions.values()
        )
        if not is_whole and not (isinstance(answer, dict) and isinstance(answer.get("says"), str)):
            return
        yield answer
