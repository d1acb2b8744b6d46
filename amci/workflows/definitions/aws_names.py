"""AMC's spelling of a workflow, camelCase, turned into ours."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

#: Fields whose name here is not AMC's in snake_case.
_OTHER_NAMES = {"sqlQuery": "sql", "sql_query": "sql"}
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def ours(document: Mapping[str, Any], fields: Collection[str]) -> dict[str, Any]:
    """The mapping with AMC's names of `fields` as ours; ValueError if one field stands in two spellings."""
    renamed: dict[str, Any] = {}
    for key, value in document.items():
        name = key if key in fields else _OTHER_NAMES.get(key, _HUMP.sub("_", str(key)).lower())
        name = name if name in fields else key
        if name in renamed:
            raise ValueError(f"'{key}' stands twice, in two spellings")
        renamed[name] = value
    return renamed
