"""The only look at the process's environment."""

from __future__ import annotations

import os
from collections.abc import Mapping


def environment() -> Mapping[str, str]:
    """The environment variables of this process."""
    return os.environ
