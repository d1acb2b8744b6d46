"""From what people write on the command line to requests for audiences (amc-api 2.4)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from amci.kernel.errors import NotFound, UsageError
from amci.kernel.files import json_of
from amci.workflows.amc.audience_model import Audience, Reach
from amci.workflows.amc.audience_wire import is_named
from amci.workflows.amc.model import Advertiser, TimeWindow
from amci.workflows.definitions import data_types, sql, time_windows
from amci.workflows.definitions.data_types import DataType, ParameterType
from amci.workflows.definitions.parameters import placeholders
from amci.workflows.executions.request_parsing import window_from

_VALUE = re.compile(r"(?P<name>[^=:\s]+)(?::(?P<type>\w+))?=(?P<value>.*)", re.DOTALL)
_WINDOW_HINT = "write --window START..END, such as 'TODAY(-30)..TODAY(-2)'"
#: Kinds of advertisers that an audience can be for.
_KINDS = ("DISPLAY", "SPONSORED_ADS")


def query_of(text: str) -> str:
    """A query as AMC gets it, without comments and `;` at its end; raises UsageError for what is none."""
    if fault := sql.fault(text):
        raise UsageError(f"the query {fault}", hint="an audience is one SELECT of user_id")
    return sql.as_sent(text).strip()


def window(text: str, zone: str, at: datetime) -> tuple[datetime, datetime]:
    """`START..END`, dates dynamic as of `at`, as two moments; raises UsageError."""
    asked = time_windows.resolve(window_from(text, zone, TimeWindow()), at)
    if not asked.start or not asked.end:
        raise UsageError("an audience needs a time window with a start and an end", hint=_WINDOW_HINT)
    start, end = (
        datetime.fromisoformat(each).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
        for each in (asked.start, asked.end)
    )
    return start, end


def parameters(query: str | None, pairs: Iterable[str]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """AMC's `inputParameters` and `parameterValues` from `name=value` or `name:TYPE=value`; raises UsageError.

    If no type is written, it is that of the value read as JSON, else STRING. Without a query, as with a workflow,
    nothing is declared: the workflow does that.
    """
    given = dict(_given(pair) for pair in pairs)
    values = {name: value for name, (_, value) in given.items()}
    if query is None:
        return [], values
    wanted = placeholders(query)
    if missing := sorted(wanted - given.keys()):
        raise UsageError(
            f"the query's parameter {missing[0]} has no value", hint=f"say --value {missing[0]}=…"
        )
    if unknown := sorted(given.keys() - wanted):
        known = f"it has {', '.join(sorted(wanted))}" if wanted else "it has none"
        raise UsageError(f"the query has no parameter '{unknown[0]}'", hint=known)
    return [{"name": name, "dataType": given[name][0].as_amc()} for name in given], values


def _given(pair: str) -> tuple[str, tuple[ParameterType, Any]]:
    match = _VALUE.fullmatch(pair)
    if match is None:
        raise UsageError(f"'{pair}' gives no parameter a value", hint="write --value name=value")
    guessed, value = _guessed(match["value"])
    if match["type"] is None:
        return match["name"], (guessed, value)
    if match["type"].upper() not in DataType.__members__:
        raise UsageError(f"'{match['type']}' is not a data type", hint=f"one of {', '.join(DataType)}")
    wanted = ParameterType(of=DataType[match["type"].upper()], is_array=guessed.is_array)
    try:
        return match["name"], (wanted, data_types.converted(match["value"], wanted))
    except ValueError as error:
        raise UsageError(f"parameter {match['name']}: {error}", hint="give it another value") from None


def _guessed(text: str) -> tuple[ParameterType, Any]:
    try:
        value = json_of(text)
    except ValueError:
        value = text
    if isinstance(value, list):
        first = value[0] if value else ""
        return ParameterType(of=_type(first), is_array=True), value
    if isinstance(value, bool | int | float):
        return ParameterType(of=_type(value)), value
    return ParameterType(of=DataType.STRING), text


def _type(value: Any) -> DataType:
    if isinstance(value, bool):
        return DataType.BOOLEAN
    if isinstance(value, int):
        return DataType.LONG
    return DataType.DOUBLE if isinstance(value, float) else DataType.STRING


def reach_from(text: str) -> Reach:
    """How far a lookalike audience reaches, in any case of letters; raises UsageError."""
    word = text.strip().upper().replace("-", "_")
    if word not in Reach.__members__:
        raise UsageError(f"'{text}' is not a reach", hint=f"one of {', '.join(Reach)}")
    return Reach(word)


def advertiser_for(name: str | None, there: Sequence[Advertiser]) -> Advertiser:
    """The advertiser that gets an audience: the one named, else the only one there is. Raises UsageError, NotFound."""
    able = [each for each in there if each.type in _KINDS]
    found = [each for each in able if name in (None, each.advertiser_id)]
    if name is not None and not found:
        raise NotFound(f"the AMC instance has no advertiser '{name}'", hint=_listed(able))
    if len(found) != 1:
        raise UsageError("for which advertiser?", hint=_listed(able))
    return found[0]


def _listed(able: Iterable[Advertiser]) -> str:
    kinds = {"DISPLAY": "Amazon DSP", "SPONSORED_ADS": "sponsored ads"}
    named = [f"{each.advertiser_id} ({each.name}, {kinds[each.type]})" for each in able]
    return (
        f"say --advertiser with one of: {'; '.join(named)}"
        if named
        else "the instance has no advertisers yet"
    )


def meant(identifier: str, there: Iterable[Audience]) -> Audience:
    """The audience of this id, or of this name if only one has it; raises NotFound, UsageError."""
    known = list(there)
    by_id = [found for found in known if found.audience_id == identifier]
    found = by_id or [found for found in known if is_named(found, identifier)]
    if not found:
        raise NotFound(f"no audience '{identifier}'", hint="`amci audience list` shows those there are")
    if len(found) > 1:
        ids = ", ".join(each.audience_id for each in found)
        raise UsageError(
            f"{len(found)} audiences are called '{identifier}'", hint=f"name one by its id: {ids}"
        )
    return found[0]
