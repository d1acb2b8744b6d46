"""What the file beside a result says of the execution that made it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from amci import log
from amci.clock import moment
from amci.layout import sidecar_of

#: Fields of the comprehensive catalogue that only the execution knows.
TEXTS = ("workflow_execution_id", "sql_hash")
MOMENTS = ("time_window_start", "time_window_end")

_log = log.get("sidecar")


def origin(path: Path) -> dict[str, str]:
    """The fields of `path`'s sidecar that the catalogue takes; empty where there is none that can be read."""
    return _said(path, (*TEXTS, *MOMENTS))


def story(path: Path) -> str:
    """The correlation id of the run that brought a raw file here; empty where nothing says so."""
    return _said(path, ("correlation_id",)).get("correlation_id", "")


def _said(path: Path, names: Sequence[str]) -> dict[str, str]:
    try:
        document = json.loads(sidecar_of(path).read_bytes())
        if not isinstance(document, dict):
            raise TypeError("not a mapping")  # noqa: TRY301 - said once, below
        return {name: text for name in names if (text := _text(name, document))}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError) as error:
        # It says where rows came from, not what they are: they are loaded all the same.
        _log.warning("sidecar not usable", file=path.name, exc_info=error)
        return {}


def moments(origin: Mapping[str, str]) -> dict[str, datetime]:
    """The moments among the fields of an origin."""
    return {name: moment(origin[name]) for name in MOMENTS if name in origin}


def _text(name: str, document: Mapping[str, Any]) -> str:
    text = str(document.get(name) or "")
    if text and name in MOMENTS:
        moment(text)
    return text
