"""Looks at files of transforms in a process of its own, which they may end, block or break; `plugins` starts it.

Reads a request on standard input, and writes a line of JSON before and after each source to standard output. What
a transform prints or reads goes nowhere.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import inspect
import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from amci.kernel.process_limits import lower, no_core_dumps

#: What a transform's parameters may be called; it is given those it names.
PARAMETERS = {"rows", "obj"}
#: Seconds of computing that one source may take, and bytes of memory and processes that all may.
CPU_SECONDS = 10
_MEMORY = 8 * 1024**3
_PROCESSES = 256
_PR_SET_PDEATHSIG = 1
_STREAMS = (0, 1, 2)


def execute(path: Path, text: str) -> ModuleType:
    """The module that a file of transforms is; raises whatever its code raises.

    Its `print` writes to standard error: standard output is amci's own.
    """
    name = f"amci_transforms.{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None:
        raise ImportError("not a Python file")
    module = importlib.util.module_from_spec(spec)
    vars(module)["print"] = _print
    sys.modules[name] = module
    # From the text that was hashed: a later edit must not run under the hash of this one.
    exec(compile(text, str(path), "exec", dont_inherit=True), vars(module))  # noqa: S102 - it is the user's own code
    return module


def _print(*values: object, **options: Any) -> None:
    print(*values, **{"file": sys.stderr, **options})  # noqa: T201 - a transform's own


def functions_of(module: ModuleType) -> dict[str, bool]:
    """The transforms among a module's functions: name → whether it takes rows."""
    return {
        name: takes_rows(function)
        for name, function in vars(module).items()
        if inspect.isfunction(function)
        and function.__module__ == module.__name__
        and _is_transform(name, function)
    }


def takes_rows(function: Callable[..., Any]) -> bool:
    """Whether a function wants rows; one that only wants the object is asked before the file is read."""
    return "rows" in inspect.signature(function).parameters


def source_of(function: Callable[..., Any]) -> str:
    """The source of the module that a function is in: a helper that changed makes its transforms stale too."""
    module = inspect.getmodule(function)
    return inspect.getsource(module) if module else inspect.getsource(function)


def hashed(text: str) -> str:
    """SHA-256 of a source, 16 hex digits."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:16]


def words_of(error: BaseException) -> str:
    """An error in one line; the one that a transform raises while it is loaded."""
    line = f" (line {error.lineno})" if isinstance(error, SyntaxError) else ""
    says = f"{type(error).__name__}: {error}{line}"
    return " ".join(says.split())[:500]


def _is_transform(name: str, function: Callable[..., Any]) -> bool:
    parameters = set(inspect.signature(function).parameters)
    return not name.startswith("_") and bool(parameters) and parameters <= PARAMETERS


def _look(source: Mapping[str, str]) -> dict[str, Any]:
    """What a source holds, or what is wrong with it."""
    try:
        if "text" in source:
            functions, text = functions_of(execute(Path(source["path"]), source["text"])), ""
        else:
            # Half of what this module would take to be imported.
            from importlib.metadata import EntryPoint

            function = EntryPoint(source["name"], source["value"], source["group"]).load()
            functions, text = {source["name"]: takes_rows(function)}, source_of(function)
        _require_streams()
    except BaseException as error:  # noqa: BLE001 - a plugin may fail in any way while it is loaded
        return {"says": words_of(error)}
    return {"functions": functions, "source": text, "source_hash": hashed(text)}


def _require_streams() -> None:
    if any(stream is None or stream.closed for stream in (sys.stdin, sys.stdout, sys.stderr)):
        raise ValueError("it closes standard input, output or error")
    for number in _STREAMS:
        os.fstat(number)


def _bound() -> None:
    """Limit what this process may take; those of the user hold if they are lower."""
    tasks = int(Path("/proc/loadavg").read_bytes().split()[3].partition(b"/")[2]) if _is_linux() else 0
    lower(resource.RLIMIT_AS, _MEMORY)
    no_core_dumps()
    if tasks:
        lower(resource.RLIMIT_NPROC, tasks + _PROCESSES)
        # It ends with the process that looks, however that ends.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _is_linux() -> bool:
    return sys.platform == "linux"


def _allow_a_while() -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    lower(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + CPU_SECONDS)


def main() -> None:
    """Look at the sources of the request, up to the first that cannot be loaded."""
    sources = json.loads(sys.stdin.buffer.read())
    report = os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in _STREAMS:
        os.dup2(nothing, number)
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    _bound()
    for source in sources:
        _allow_a_while()
        os.write(report, b"\n")
        found = _look(source)
        os.write(report, json.dumps(found).encode())
        if "says" in found:
            break  # what it has left behind must not spoil the next one
    # Threads that a transform has started are not waited for.
    os._exit(0)


if __name__ == "__main__":
    main()
