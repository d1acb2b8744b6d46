"""The only look at the process's environment, and the only changes to it."""

from __future__ import annotations

import os
from collections.abc import Mapping


def environment() -> Mapping[str, str]:
    """The environment variables of this process."""
    return os.environ


def compute_by_one_thread() -> None:
    """Keep OpenBLAS from starting a thread for each core when NumPy is imported, unless the user says how many.

    That takes longer than all else of NumPy. Arrow imports it, and amci multiplies no matrices.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def replace_environment(variables: Mapping[str, str]) -> None:
    """Have these environment variables and no others."""
    os.environ.clear()
    os.environ.update(variables)
