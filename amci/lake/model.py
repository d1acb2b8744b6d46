"""The former place of what transforms take and return; `from amci import Placement, RawObject, Skip` instead."""

from __future__ import annotations

import warnings
from typing import Any

from amci.lake.datasets import objects


def __getattr__(name: str) -> Any:
    if name not in {"Placement", "RawObject", "Skip"}:
        raise AttributeError(f"module 'amci.lake.model' has no attribute '{name}'")
    warnings.warn(
        f"amci.lake.model is going away: write `from amci import {name}`", DeprecationWarning, stacklevel=2
    )
    return getattr(objects, name)
