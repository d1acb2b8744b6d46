"""Limits that the operating system sets on this process."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def bounded_memory(more: int) -> Iterator[None]:
    """Let this process have at most `more` bytes beyond what it has now; what asks for more gets a MemoryError.

    DuckDB's `memory_limit` counts its buffers, but not a single value, which a function such as `repeat` can make as
    large as it likes. DuckDB says of both that it is out of memory. Only Linux counts so; elsewhere nothing is bounded.
    """
    if sys.platform != "linux":
        yield
        return
    # Here, because Windows does not have it.
    import resource

    before, most = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = private_memory() + more
    if most != resource.RLIM_INFINITY:
        wanted = min(wanted, most)
    resource.setrlimit(resource.RLIMIT_DATA, (wanted, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (before, most))


def lower(what: int, limit: int) -> None:
    """Set a limit of the module `resource` for this process, unless a lower one holds already."""
    import resource

    _, most = resource.getrlimit(what)
    with suppress(ValueError, OSError):
        resource.setrlimit(what, (limit if most == resource.RLIM_INFINITY else min(limit, most), most))


def no_core_dumps() -> None:
    """Write no core file if this process is killed: it would be as large as the process."""
    if sys.platform == "win32":
        return
    import resource

    lower(resource.RLIMIT_CORE, 0)


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error of Python's or DuckDB's says that there was no memory left, whatever its class."""
    text = str(error)
    return isinstance(error, MemoryError) or "Out of Memory Error" in text or "std::bad_alloc" in text


def private_memory() -> int:
    """The bytes that RLIMIT_DATA counts now: all private memory that may be written. Without Linux, 0."""
    return _told("VmData")


def resident_memory() -> int:
    """The bytes that this process has in memory now. Without Linux, 0."""
    return _told("VmRSS")


def _told(name: str) -> int:
    if sys.platform != "linux":
        return 0
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))
