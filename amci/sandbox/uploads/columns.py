"""Columns of uploaded data sets: which ones AMC accepts, and which ones it adds (amc-api 2.5)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

#: A column as answers show it; under `key` also the name of its values in files.
Column = dict[str, Any]

DATA_TYPES = ("STRING", "DECIMAL", "INTEGER", "LONG", "TIMESTAMP", "DATE")
HASHED = ("EMAIL", "FIRST_NAME", "LAST_NAME", "PHONE", "ADDRESS", "CITY", "STATE", "ZIP", "COUNTRY_CODE")
EXTERNAL = ("LIVERAMP", "MAID", "EXPERIAN", "IDFA", "KANTAR", "MERKLE", "NEUSTAR", "REALID", "SAMBATV")
CONSENTS = ("TCF", "GPP", "AMZN_USER_DATA", "AMZN_AD_STORAGE")
MOST = 500  #: columns of a data set
USER_ID, USER_ID_TYPE = "user_id", "user_id_type"

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,126}")
_RESERVED = {
    "all", "and", "as", "between", "by", "case", "cast", "cross", "distinct", "else", "end",
    "except", "exists", "false", "for", "from", "full", "group", "having", "in", "inner",
    "intersect", "into", "is", "join", "left", "like", "limit", "not", "null", "offset", "on", "or",
    "order", "outer", "over", "partition", "right", "select", "set", "table", "then", "true",
    "union", "using", "values", "when", "where", "window", "with",
}  # fmt: skip
_FLAGS = ("isMainEventTime", "isMainUserId", "isMainUserIdType", "isCountryCode", "requiresOneWayHashing")
#: Flag → the data types that its column may have.
_TYPE_OF = {
    "isMainEventTime": ("TIMESTAMP", "DATE"),
    "isMainUserId": ("STRING",),
    "isMainUserIdType": ("STRING",),
    "isCountryCode": ("STRING",),
}
_RAMP_ID = (
    "Customer-owned data set {} specified {} external user ID column(s) (RampID) but no main user ID column."
)


def identifier(column: Mapping[str, Any]) -> str | None:
    """The kind of identifier in the column, one of HASHED or EXTERNAL; None if it has none."""
    about = column.get("externalUserIdType") or {}
    return about.get("hashedPii") or about.get("externalIdentity")


def flagged(columns: Sequence[Column], flag: str) -> Column | None:
    """The column with this flag; None if there is none."""
    return next((column for column in columns if column.get(flag)), None)


def is_from_amazon(column: Mapping[str, Any]) -> bool:
    """Whether AMC fills the column; values of a file are ignored."""
    return bool(column.get("isMainUserId") or column.get("isMainUserIdType"))


def normal(document: object, where: str, problems: list[str]) -> Column:
    """A column with AMC's defaults; its problems are added to `problems`, each after `where`."""
    if not isinstance(document, dict):
        problems.append(f"{where} must be an object.")
        return {}
    column: Column = {
        "name": document.get("name"),
        "description": document.get("description"),
        "dataType": document.get("dataType"),
        "columnType": document.get("columnType"),
        "nullable": document.get("nullable", True),
        **{flag: document.get(flag) or False for flag in _FLAGS},
    }
    if consent := document.get("consentType"):
        # the guides write the types in lower case as well, and GPP_String
        column["consentType"] = str(consent).upper().removesuffix("_STRING")
    if (about := _identifier_of(document)) is not None:
        column["externalUserIdType"] = about
    problems += [f"{where}: {each}" for each in _problems(column)]
    return {name: value for name, value in column.items() if value is not None}


def problems(columns: Sequence[Column], data_set_id: str) -> Iterator[str]:
    """Problems of the columns together; each one by itself is valid."""
    names = Counter(str(column.get("name")).lower() for column in columns)
    yield from (f"Column {name} is defined {number} times." for name, number in names.items() if number > 1)
    for flag in _TYPE_OF:
        if (number := sum(bool(column.get(flag)) for column in columns)) > 1:
            yield f"Only one column may have {flag}, {number} have."
    for what in (identifier, lambda column: column.get("consentType")):
        kinds = Counter(kind for column in columns if (kind := what(column)))
        yield from (f"Only one column may be of type {kind}." for kind, number in kinds.items() if number > 1)
    yield from _user_problems(columns, data_set_id)


def with_users(columns: Sequence[Column]) -> list[Column]:
    """The columns; if there are identifiers, with the two columns that AMC adds: user_id and user_id_type."""
    if not any(map(identifier, columns)):
        return list(columns)
    added = []
    if not flagged(columns, "isMainUserId"):
        added.append(_added(USER_ID, "isMainUserId"))
    if not flagged(columns, "isMainUserIdType"):
        added.append(_added(USER_ID_TYPE, "isMainUserIdType"))
    return [*columns, *added]


def with_keys(columns: Sequence[Column], first: int) -> list[Column]:
    """The columns, each with a key that does not change if the column is renamed."""
    return [column | {"key": f"c{number}"} for number, column in enumerate(columns, start=first)]


def shown(column: Column) -> dict[str, Any]:
    """A column as answers show it."""
    return {name: value for name, value in column.items() if name != "key"}


def name_problems(name: object) -> list[str]:
    """Problems of a column's name."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        return ["name must begin with a letter and have letters, digits and underscores only."]
    if name.lower() in _RESERVED:
        return [f"name '{name}' is a word of SQL; choose another."]
    return []


def _added(name: str, flag: str) -> Column:
    return normal({"name": name, "dataType": "STRING", "columnType": "DIMENSION", flag: True}, name, [])


def _identifier_of(document: Mapping[str, Any]) -> object:
    about = document.get("externalUserIdType")
    hashed = document.get("hashedExternalIdentity")  # as one of AMC's samples writes it
    if about is None and isinstance(hashed, dict):
        return {"hashedPii": hashed.get("identifierType")}
    return about


def _problems(column: Column) -> Iterator[str]:
    yield from name_problems(column["name"])
    yield from (
        f"{name} must be true or false."
        for name in (*_FLAGS, "nullable")
        if not isinstance(column[name], bool)
    )
    if not isinstance(column["description"], str | None):
        yield "description must be a string."
    if column["dataType"] not in DATA_TYPES:
        yield f"dataType must be one of {', '.join(DATA_TYPES)}."
    if column["columnType"] not in ("DIMENSION", "METRIC"):
        yield "columnType must be DIMENSION or METRIC."
    yield from _special_problems(column)


def _special_problems(column: Column) -> Iterator[str]:
    """Problems of a column with a special meaning to AMC."""
    for flag, types in _TYPE_OF.items():
        if column[flag] and column["dataType"] not in types:
            yield f"dataType of the column with {flag} must be {' or '.join(types)}."
    if is_from_amazon(column) and column["columnType"] == "METRIC":
        yield "a column with isMainUserId or isMainUserIdType cannot be a METRIC."
    if column["isMainUserId"] and column["name"] != USER_ID:
        yield f"the column with isMainUserId must be called {USER_ID}; the sandbox knows users by no other name."
    if (consent := column.get("consentType")) and consent not in CONSENTS:
        yield f"consentType must be one of {', '.join(CONSENTS)}."
    if "externalUserIdType" not in column:
        return
    about = column["externalUserIdType"]
    is_known = isinstance(about, dict) and (
        (list(about) == ["hashedPii"] and about["hashedPii"] in HASHED)
        or (list(about) == ["externalIdentity"] and about["externalIdentity"] in EXTERNAL)
    )
    if not is_known:
        column.pop("externalUserIdType")
        yield (
            f"externalUserIdType must have either hashedPii, one of {', '.join(HASHED)},"
            f" or externalIdentity, one of {', '.join(EXTERNAL)}."
        )
    if column["dataType"] != "STRING":
        yield "dataType of a column with externalUserIdType must be STRING."
    if any(column[flag] for flag in _TYPE_OF):
        yield "a column with externalUserIdType can be nothing else."


def _user_problems(columns: Sequence[Column], data_set_id: str) -> Iterator[str]:
    main, main_type = flagged(columns, "isMainUserId"), flagged(columns, "isMainUserIdType")
    kinds = [kind for column in columns if (kind := identifier(column))]
    if main_type and not main:
        yield "A column with isMainUserIdType needs one with isMainUserId."
    if main and not kinds:
        yield "A column with isMainUserId needs a column with externalUserIdType that AMC can resolve."
    if "LIVERAMP" in kinds and not main and not set(kinds) & set(HASHED):
        yield _RAMP_ID.format(data_set_id, kinds.count("LIVERAMP"))
    taken = {str(column.get("name")).lower() for column in columns if not is_from_amazon(column)}
    yield from (
        f"Column {name} is one that AMC adds; choose another name."
        for name in sorted({USER_ID, USER_ID_TYPE} & taken)
        if kinds or name == USER_ID
    )
