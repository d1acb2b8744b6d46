"""Requests to create or retry an audience, checked (amc-api 2.4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from amci.sandbox.errors import bad
from amci.sandbox.times import BadMoment, micros, read

RULE_BASED, LOOKALIKE = "RULE_BASED", "LOOKALIKE"
REACHES = ("MOST_SIMILAR", "SIMILAR", "BALANCED", "BROAD", "MOST_BROAD")
#: The fields of a request that are stored.
FIELDS = (
    *("advertiserId", "advertiserType", "audienceDescription", "audienceName", "countryCode"),
    *("inputParameters", "lookalikeAudienceExpectedReach", "parameterValues", "query", "refreshRateDays"),
    *("timeWindowRelative", "workflowId"),
)
_ADVERTISER_TYPES = ("DISPLAY", "SPONSORED_ADS")
_COUNTRIES = (
    *("AE", "AU", "BR", "CA", "DE", "ES", "FR", "IN", "IT"),
    *("JP", "MX", "NL", "SA", "SE", "TR", "UK", "US"),
)
_DEFAULT_REFRESH = 21
_REFRESH = {RULE_BASED: (0, 21), LOOKALIKE: (7, 21)}  #: days
_MOST_PARAMETERS = 100
_UTC = ZoneInfo("UTC")


def checked(asked: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """The fields of a request with AMC's defaults. Raises Refusal."""
    fields = {name: asked[name] for name in FIELDS if asked.get(name) not in (None, "")}
    for name in ("audienceName", "advertiserId"):
        if not str(fields.get(name) or "").strip():
            raise bad(f"{name} is required.")
    if ("query" in fields) == ("workflowId" in fields):
        raise bad("Exactly one of query and workflowId is required.")
    _check_choice(fields, "advertiserType", _ADVERTISER_TYPES)
    _check_choice(fields, "countryCode", _COUNTRIES)
    if kind == LOOKALIKE:
        if "lookalikeAudienceExpectedReach" not in fields:
            raise bad("lookalikeAudienceExpectedReach is required.")
        _check_choice(fields, "lookalikeAudienceExpectedReach", REACHES)
    return fields | {
        "advertiserId": str(fields["advertiserId"]),
        "audienceName": str(fields["audienceName"]),
        "refreshRateDays": _refresh(fields, kind),
        "timeWindowRelative": _switch(fields, "timeWindowRelative"),
        "inputParameters": _parameters(fields),
        "parameterValues": _values(fields),
    }


def window(asked: Mapping[str, Any]) -> tuple[int, int]:
    """Start and end of the time window in microseconds since 1970. Raises Refusal."""
    names = ("timeWindowStart", "timeWindowEnd")
    for name in names:
        if not asked.get(name):
            raise bad(f"{name} is required.")
    try:
        start, end = (micros(read(str(asked[name]), _UTC)) for name in names)
    except BadMoment as error:
        raise bad(f"Invalid time window: {error}.") from error
    if start >= end:
        raise bad("Invalid time window: timeWindowStart must be before timeWindowEnd.")
    return start, end


def check_declared(fields: Mapping[str, Any], declared: list[Mapping[str, Any]]) -> None:
    """Raise Refusal if there is a value of a parameter that is not declared."""
    known = {each.get("name") for each in declared}
    if unknown := [name for name in fields["parameterValues"] if name not in known]:
        raise bad(f"parameterValues has a value for {unknown[0]}, which is not among the inputParameters.")


def _check_choice(fields: Mapping[str, Any], name: str, choices: tuple[str, ...]) -> None:
    if name in fields and fields[name] not in choices:
        raise bad(f"{name} must be one of {', '.join(choices)}.")


def _refresh(fields: Mapping[str, Any], kind: str) -> int:
    least, most = _REFRESH[kind]
    text = str(fields.get("refreshRateDays", _DEFAULT_REFRESH))
    if not text.isdecimal() or not least <= int(text) <= most:
        raise bad(f"refreshRateDays must be between {least} and {most}.")
    return int(text)


def _switch(fields: Mapping[str, Any], name: str) -> bool:
    """A flag that may be text, as in AMC's own samples (amc-api 2.4)."""
    text = str(fields.get(name, False)).lower()
    if text not in ("true", "false"):
        raise bad(f"{name} must be true or false.")
    return text == "true"


def _parameters(fields: Mapping[str, Any]) -> list[dict[str, Any]]:
    declared = fields.get("inputParameters") or []
    if not isinstance(declared, list) or len(declared) > _MOST_PARAMETERS:
        raise bad(f"inputParameters must be a list of at most {_MOST_PARAMETERS} parameters.")
    for each in declared:
        if not isinstance(each, dict) or not each.get("name") or not each.get("dataType"):
            raise bad("inputParameters: each parameter needs a name and a dataType.")
    names = [each["name"] for each in declared]
    if len(set(names)) < len(names):
        raise bad("inputParameters: a name stands twice.")
    return declared


def _values(fields: Mapping[str, Any]) -> dict[str, Any]:
    values = fields.get("parameterValues") or {}
    if not isinstance(values, dict):
        raise bad("parameterValues must be a map of names to values.")
    return values
