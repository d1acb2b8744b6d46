"""From what people write on the command line to requests for executions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from amci.kernel.errors import UsageError
from amci.kernel.files import json_of
from amci.tenants.model import Tenant, tenant_named
from amci.workflows.amc.model import TimeWindow, WindowType


def window_from(text: str | None, zone: str | None, default: TimeWindow) -> TimeWindow:
    """`MOST_RECENT_WEEK` or `START..END` as a window; `default` if there is no text. Raises UsageError."""
    window = default
    if text and ".." in text:
        start, _, end = text.partition("..")
        window = TimeWindow(
            type=WindowType.EXPLICIT, start=start.strip(), end=end.strip(), time_zone=default.time_zone
        )
    elif text:
        window = TimeWindow(type=window_type(text), time_zone=default.time_zone)
    return replace(window, time_zone=zone) if zone else window


def window_type(text: str) -> WindowType:
    """The type of a window in any case of letters; raises UsageError."""
    try:
        return WindowType(text.strip().upper())
    except ValueError:
        known = ", ".join(kind for kind in WindowType if kind is not WindowType.EXPLICIT)
        raise UsageError(
            f"'{text}' is not a time window", hint=f"write START..END or one of {known}"
        ) from None


def assignments(pairs: Iterable[str], *, is_typed: bool) -> dict[str, Any]:
    """`name=value` pairs as a mapping; raises UsageError.

    If no declaration gives the types (`is_typed`), numbers, true, false and lists are read as JSON.
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"'{pair}' gives no parameter a value", hint="write --param name=value")
        found[name.strip()] = value if is_typed else _guessed(value)
    return found


def _guessed(text: str) -> Any:
    try:
        value = json_of(text)
    except ValueError:
        return text
    return value if isinstance(value, bool | int | float | list) else text


def chosen(tenants: Mapping[str, Tenant], names: Sequence[str], *, is_all: bool = False) -> list[Tenant]:
    """The tenants of these names, each once; without a name the only one with an AMC instance.

    Raises NotFound with a near match, and UsageError if a name is needed.
    """
    with_instance = [tenant for tenant in tenants.values() if tenant.instance_id]
    if is_all or (not names and len(with_instance) == 1):
        return with_instance
    if not names:
        raise UsageError("for which tenant?", hint="say --tenant NAME, several times if need be")
    found = [tenant_named(tenants, name) for name in dict.fromkeys(names)]
    without = [tenant.tenant for tenant in found if not tenant.instance_id]
    if without:
        raise UsageError(
            f"tenant '{without[0]}' has no AMC instance: its files only arrive",
            hint=f"`amci tenant update {without[0]} instance_id=…` gives it one",
        )
    return found
