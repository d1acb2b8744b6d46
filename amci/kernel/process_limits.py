"""Limits that the operating system sets on this process."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
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
    wanted = _private() + more
    if most != resource.RLIM_INFINITY:
        wanted = min(wanted, most)
    resource.setrlimit(resource.RLIMIT_DATA, (wanted, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (before, most))


def _private() -> int:
    """The bytes that RLIMIT_DATA counts now: all private memory that may be written."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData:"))
